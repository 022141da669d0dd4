"""The HTTP API: one process with an event loop in front, worker processes behind it. Extra `server`.

To add a route, add a file to `routes/` with `router(service) -> APIRouter`.
"""
