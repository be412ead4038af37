module github.com/ckpt-go/ckpt/cmd/ckpt

go 1.26

require (
	github.com/ckpt-go/ckpt v0.0.0-00010101000000-000000000000
	github.com/google/go-cmp v0.7.0
	github.com/rogpeppe/go-internal v1.16.0
	github.com/spf13/cobra v1.10.2
)

require (
	github.com/golang/snappy v1.0.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	golang.org/x/sys v0.26.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)

replace github.com/ckpt-go/ckpt => ../../
