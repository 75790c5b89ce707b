package emulator

import (
	"fmt"
	"math/rand/v2"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Options makes a client of Datastore or Pub/Sub talk to an emulator, whatever
// the environment says.
func Options(host string) []option.ClientOption {
	return []option.ClientOption{
		option.WithEndpoint("passthrough:///" + host),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// Project returns the id of a project that nobody else uses: what other projects
// hold slows some emulators down, and no test sees another's data.
func Project() string { return fmt.Sprintf("test-%013x", rand.Uint64N(1<<52)) }
