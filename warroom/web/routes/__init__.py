"""What each resource answers. Who may ask for it stands in `warroom.web.endpoints`."""
