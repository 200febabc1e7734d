"""What is wrong with a data set: checks of images, labels, splits and pairs. They read, and change nothing."""
