module github.com/ckpt-go/ckpt/examples

go 1.26

require github.com/ckpt-go/ckpt v0.0.0

require github.com/golang/snappy v1.0.0 // indirect

replace github.com/ckpt-go/ckpt => ../
