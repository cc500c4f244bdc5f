module github.com/godwit-dtls/godwit

go 1.26.0

require (
	github.com/pion/logging v0.2.4
	github.com/pion/transport/v3 v3.1.1
	golang.org/x/crypto v0.58.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
)
