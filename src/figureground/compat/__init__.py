"""Other programs' interfaces, so that scripts written for them go on working."""
