"""Log formats, one reader each: ROS 1 and 2 bags, PX4 ULogs, folders of CSV."""
