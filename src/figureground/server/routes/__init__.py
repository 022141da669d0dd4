"""The routes, a file for each subject. A file holds `router(service) -> APIRouter`."""
