"""The portal of a whole application: that of the dashboard, with customers in front of it."""

from tests.admin.conftest import dashboard, dashboard_environment, made_dashboards

__all__ = ["dashboard", "dashboard_environment", "made_dashboards"]
