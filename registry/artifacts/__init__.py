"""Whatever holds a module: files, layouts, archives, images; found, judged, wrapped and sent."""
