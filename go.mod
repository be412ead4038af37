module github.com/ckpt-go/ckpt

go 1.26

require github.com/google/go-cmp v0.7.0

require github.com/golang/snappy v1.0.0
