module github.com/ckpt-go/ckpt/interop

go 1.26

require (
	github.com/ckpt-go/ckpt v0.0.0-00010101000000-000000000000
	github.com/google/go-cmp v0.7.0
)

require github.com/golang/snappy v1.0.0 // indirect

replace github.com/ckpt-go/ckpt => ../
