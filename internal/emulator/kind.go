package emulator

// Kind is a program of the SDK with the flags it is run with.
type Kind struct {
	name     string
	jar      string // below platform/, a glob
	main     string // the class to run, empty for the jar's own
	args     []string
	started  string // what it prints once its port is its own
	javaArgs []string
}

var (
	// Datastore is the Datastore emulator with Firestore's behaviour: optimistic,
	// a conflict shows at the commit.
	Datastore = Kind{name: "Datastore emulator", jar: datastoreJar, main: datastoreMain, args: datastoreArgs, started: devServer}

	// DatastoreIndexed is Datastore that refuses every query for which an index
	// would have to be deployed.
	DatastoreIndexed = Kind{name: "Datastore emulator with required indexes", jar: datastoreJar, main: datastoreMain,
		args: append(datastoreArgs[:len(datastoreArgs):len(datastoreArgs)], "--require_indexes"), started: devServer}

	// Firestore is the Firestore emulator in Datastore mode: pessimistic, a read
	// in a transaction locks.
	Firestore = Kind{name: "Firestore emulator", jar: "cloud-firestore-emulator/cloud-firestore-emulator.jar",
		main: "com.google.cloud.datastore.emulator.firestore.CloudFirestore", javaArgs: []string{"-Duser.language=en"},
		args: []string{"--database-mode=datastore-mode"}, started: devServer}

	// PubSub is the Pub/Sub emulator.
	PubSub = Kind{name: "Pub/Sub emulator", jar: "pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar", started: "Server started, listening on"}
)

const (
	datastoreJar  = "cloud-datastore-emulator/CloudDatastore.jar"
	datastoreMain = "com.google.cloud.datastore.emulator.CloudDatastore"
	devServer     = "Dev App Server is now running"
)

var datastoreArgs = []string{"start", "--testing", "--firestore_in_datastore_mode"}

func (k Kind) String() string { return k.name }

// command is what runs the emulator on a port, given where its jar is.
func (k Kind) command(java, jar, port string) []string {
	cmd := append([]string{java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}, k.javaArgs...)
	if k.main == "" {
		cmd = append(cmd, "-jar", jar)
	} else {
		cmd = append(cmd, "-cp", jar, k.main)
	}
	return append(append(cmd, k.args...), "--host=127.0.0.1", "--port="+port)
}
