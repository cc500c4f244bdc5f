module github.com/pion/dtls/v3

go 1.26.0

replace github.com/godwit-dtls/godwit => ../../

require (
	github.com/godwit-dtls/godwit v0.0.0-00010101000000-000000000000
	github.com/pion/logging v0.2.4
	github.com/pion/transport/v3 v3.1.1
)

require (
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
