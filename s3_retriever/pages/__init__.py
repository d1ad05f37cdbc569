"""What people look at: styles and scripts that the report and the served page share."""
