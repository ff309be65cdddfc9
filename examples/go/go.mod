module example

go 1.23

require (
	github.com/twmb/franz-go v1.20.0
	google.golang.org/protobuf v1.36.12
)
