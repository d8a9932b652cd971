"""Image search where Kibana's and OpenSearch Dashboards' users are: what to paste there, and what to import."""
