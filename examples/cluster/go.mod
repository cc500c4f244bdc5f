module github.com/godwit-dtls/godwit/examples/cluster

go 1.26.0

replace (
	github.com/godwit-dtls/godwit => ../../
	github.com/godwit-dtls/godwit/e2e => ../../e2e
)

require (
	github.com/godwit-dtls/godwit v0.0.0-00010101000000-000000000000
	github.com/godwit-dtls/godwit/e2e v0.0.0-00010101000000-000000000000
	github.com/redis/go-redis/v9 v9.23.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/pion/logging v0.2.4 // indirect
	github.com/pion/transport/v3 v3.1.1 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
