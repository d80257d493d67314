# Sidecargo in a small image: not root, nothing to write to but /data.
#
#   docker build -t sidecargo .
#   docker run -p 127.0.0.1:5000:5000 -v sidecargo:/data --read-only sidecargo
#
# BASE is any image with python3 (3.11 or newer) and its venv module. Where a build has no package
# index, put the wheels of requirements.txt and of setuptools into wheels/: then nothing else is asked.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
WORKDIR /build
COPY requirements.txt wheel[s] wheels/
RUN python3 -m venv /opt/sidecargo \
 && if ls wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/build/wheels; fi \
 && /opt/sidecargo/bin/pip install --no-cache-dir --require-hashes -r wheels/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY registry registry
COPY storage storage
RUN if ls wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/build/wheels; fi \
 && /opt/sidecargo/bin/pip install --no-cache-dir --no-deps . \
 && /opt/sidecargo/bin/pip check \
 && /opt/sidecargo/bin/pip uninstall --yes setuptools pip

FROM ${BASE}
COPY --from=build /opt/sidecargo /opt/sidecargo
RUN install -d -o 65532 -g 65532 /data
ENV PATH=/opt/sidecargo/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SIDECARGO_SERVER__HOST=0.0.0.0 \
    SIDECARGO_STORAGE__URL=/data
USER 65532:65532
VOLUME /data
EXPOSE 5000
# By http.client, which asks no proxy. Over TLS it is alive whatever its certificate says.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["python", "-c", "\
import http.client as http, os, ssl\n\
at = ('127.0.0.1', int(os.environ.get('SIDECARGO_SERVER__PORT', 5000)))\n\
def fails(server): server.request('GET', '/healthz'); return server.getresponse().status != 200\n\
try: failed = fails(http.HTTPConnection(*at, timeout=2))\n\
except (OSError, http.HTTPException): \
failed = fails(http.HTTPSConnection(*at, timeout=2, context=ssl._create_unverified_context()))\n\
raise SystemExit(failed)"]
ENTRYPOINT ["sidecargo"]
# Whoever reaches the published port may push, until the settings say who may: publish it on
# 127.0.0.1 only, as above, or run `serve --config FILE` with access rules instead.
CMD ["serve", "--allow-anonymous-push"]
