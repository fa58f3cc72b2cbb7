"""Hospital-wide services, shaped like boards 公共服务."""
