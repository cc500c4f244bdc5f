module github.com/godwit-dtls/godwit/examples/cluster

go 1.26.0

replace github.com/godwit-dtls/godwit => ../../

require github.com/godwit-dtls/godwit v0.0.0-00010101000000-000000000000
