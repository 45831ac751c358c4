"""The page of labels: frames of episodes, marked by people, with a classifier's opinion beside them."""
