"""Return cut-outs over HTTP: uvicorn fastapi_app:app, then curl --data-binary @photo.jpg localhost:8000/cutout -o cutout.png.

The network is loaded once. The service accepts bytes only, never a path or a URL from a client. `Settings` limits the pictures;
limit the size of request bodies in the server.
"""

import asyncio

from fastapi import FastAPI, HTTPException, Request, Response

from figureground import InputError, Separator

app = FastAPI()
separator = Separator("subject", max_pixels=30_000_000, max_bytes=20_000_000)


@app.post("/cutout")
async def cutout(request: Request) -> Response:
    """Return the cut-out of the picture in the request's body, as PNG."""
    picture = await request.body()
    try:
        data = await asyncio.to_thread(lambda: separator(picture).to_bytes("png"))
    except InputError as error:
        raise HTTPException(422, error.as_dict()) from None
    return Response(data, media_type="image/png")
