# syntax=docker/dockerfile:1

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
ARG COMMIT=""
ARG DATE=""
RUN CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT} -X main.date=${DATE}" \
    -o /sluice ./cmd/sluice && mkdir /state

FROM gcr.io/distroless/static:nonroot
COPY --from=build /sluice /sluice
# A file mounted as /etc/sluice/config.yaml is used when it is there; without one,
# sluice takes its providers from the environment. Another path goes into
# SLUICE_CONFIG, which the healthcheck sees as well, rather than into --config.
WORKDIR /etc/sluice
# The books. Mount a volume here, or set ledger to a PostgreSQL database.
COPY --from=build --chown=nonroot:nonroot /state /var/lib/sluice
ENV STATE_DIRECTORY=/var/lib/sluice
VOLUME /var/lib/sluice
USER nonroot
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s CMD ["/sluice", "healthcheck"]
ENTRYPOINT ["/sluice"]
