"""Archives: a persona written into one ZIP file, and a persona made from one."""
