"""What people and services look at: figures, promotions, alerts, the REST API, the screen."""
