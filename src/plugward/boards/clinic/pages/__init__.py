"""Pages 页面 of the doctor's workstation. Each panel is a page of its own and fails alone."""
