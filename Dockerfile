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
    -o /sluice ./cmd/sluice

FROM gcr.io/distroless/static:nonroot
COPY --from=build /sluice /sluice
# A file mounted as /etc/sluice/config.yaml is used when it is there; without one,
# sluice takes its providers from the environment. Another path goes into
# SLUICE_CONFIG, which the healthcheck sees as well, rather than into --config.
WORKDIR /etc/sluice
USER nonroot
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s CMD ["/sluice", "healthcheck"]
ENTRYPOINT ["/sluice"]
