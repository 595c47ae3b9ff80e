# Two stages: the toolchain builds one static binary, and the image that runs has nothing beside it but the certificates
# of the public authorities. No shell, no package manager, no root.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The version that receivers see in User-Agent: docker build --build-arg VERSION=v1.2.3 .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /attendee-relay ./cmd/attendee-relay

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /attendee-relay /attendee-relay
# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/attendee-relay"]
CMD ["run"]
# There is no HEALTHCHECK: it would need a program inside the image. Ask /healthz and /readyz from outside.
