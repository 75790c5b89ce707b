// Package deploy_test holds that what is deployed fits the programs.
package deploy_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/logcmd"
	"github.com/rollforward/rollforward/projection/projector"
	"github.com/rollforward/rollforward/saga/sagarunner"
)

// A manifest is what the test looks at of a service, a worker pool or a job.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Template struct {
			Spec struct {
				Instance `yaml:",inline"`
				Template struct {
					Spec Instance `yaml:"spec"`
				} `yaml:"template"` // of a job
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

// An Instance is exported for the decoder only.
type Instance struct {
	Account    string      `yaml:"serviceAccountName"`
	Containers []container `yaml:"containers"`
}

type container struct {
	Image          string   `yaml:"image"`
	Command        []string `yaml:"command"`
	Args           []string `yaml:"args"`
	StartupProbe   probe    `yaml:"startupProbe"`
	LivenessProbe  probe    `yaml:"livenessProbe"`
	ReadinessProbe probe    `yaml:"readinessProbe"`
	Ports          []struct {
		ContainerPort int `yaml:"containerPort"`
	} `yaml:"ports"`
}

type probe struct {
	HTTPGet struct {
		Path string `yaml:"path"`
		Port int    `yaml:"port"`
	} `yaml:"httpGet"`
}

// instance returns what runs, and as whom.
func (m *manifest) instance() Instance {
	if m.Kind == "Job" {
		return m.Spec.Template.Spec.Template.Spec
	}
	return m.Spec.Template.Spec.Instance
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// manifests parses run/*.yaml as they are after envsubst.
func manifests(t *testing.T) map[string]*manifest {
	t.Helper()
	files, err := filepath.Glob("run/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	out := make(map[string]*manifest)
	for _, file := range files {
		text := strings.NewReplacer("${PROJECT}", "my-project", "${IMAGE}", "registry/image").Replace(read(t, file))
		if strings.Contains(text, "$") && !strings.Contains(text, `"$REGION"`) {
			t.Errorf("%s: an unknown variable", file)
		}
		m := new(manifest)
		if err := yaml.Unmarshal([]byte(text), m); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		out[file] = m
	}
	return out
}

// TestImage builds the programs by the very command line of the Dockerfile: they
// are static. It compiles everything once more where a C compiler is in use
// otherwise, so it is left to .ci/run, which has done that already.
func TestImage(t *testing.T) {
	if os.Getenv("ROLLFORWARD_IMAGE") == "" {
		t.Skip("set ROLLFORWARD_IMAGE=1 to build what the image holds")
	}
	line := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .* -o )/out/( .*)$`).FindStringSubmatch(read(t, "Dockerfile"))
	if line == nil {
		t.Fatal("the Dockerfile has no line that builds")
	}
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", line[1]+dir+"/"+line[2])
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	for _, program := range []string{"eventlog", "projector", "sagarunner", "bank"} {
		static(t, filepath.Join(dir, program))
	}
}

// programs are what the image holds and manifests run.
var programs = map[string]func(){
	"/eventlog": logcmd.Main,
	"/projector": func() {
		projector.Main(projector.Options{Projections: bank.Projections(), Datastore: bank.DatastoreProjections(), DB: bank.ReadModelFile})
	},
	"/sagarunner": func() { sagarunner.Main(sagarunner.Options{Handlers: bank.Handlers()}) },
}

const programVariable = "DEPLOY_TEST_PROGRAM"

// TestMain is a program of the image where the test starts it as one.
func TestMain(m *testing.M) {
	if main := programs[os.Getenv(programVariable)]; main != nil {
		main()
	}
	os.Exit(m.Run())
}

// TestManifests: the programs take what the manifests give them, and serve what
// is asked of them.
func TestManifests(t *testing.T) {
	t.Parallel()
	for file, m := range manifests(t) {
		in := m.instance()
		if m.Metadata.Name == "" || len(in.Containers) != 1 || !strings.HasSuffix(in.Account, "@my-project.iam.gserviceaccount.com") {
			t.Errorf("%s: %+v", file, m)
			continue
		}
		account := strings.TrimPrefix(strings.Split(in.Account, "@")[0], "rollforward-")
		if !regexp.MustCompile(`(?m)^    ` + account + ` +=`).MatchString(read(t, "terraform/accounts.tf")) {
			t.Errorf("%s: accounts.tf has no account %s", file, account)
		}
		c := in.Containers[0]
		writes := !slices.Equal(c.Command, []string{"/eventlog"})
		if !regexp.MustCompile(`(?m)^    ` + account + ` += \{ writes = ` + strconv.FormatBool(writes) + `,`).MatchString(read(t, "terraform/accounts.tf")) {
			t.Errorf("%s: what runs as %s writes into the database: %v", file, account, writes)
		}
		if len(c.Command) != 1 || c.Image != "registry/image" {
			t.Errorf("%s: it runs %v of %s", file, c.Command, c.Image)
			continue
		}
		accepts(t, file, c.Command[0], c.Args)
		c.probed(t, file)
	}
}

// static holds that a program needs no library of the system.
func static(t *testing.T, program string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return // what is built elsewhere is no ELF file
	}
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s is linked dynamically", program)
		}
	}
}

// accepts holds that a program knows all flags of a command line, and that their
// values are of the right form: it reads them before it shows its help.
func accepts(t *testing.T, file, program string, args []string) {
	t.Helper()
	if programs[program] == nil || !regexp.MustCompile(`(?m)^RUN .*go build .* \./(cmd|examples)`+program+`( |$)`).MatchString(read(t, "Dockerfile")) {
		t.Errorf("%s: the image has no %s", file, program)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append(slices.Clone(args), "--help")...)
	cmd.Env = []string{programVariable + "=" + program}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %s %v: %v\n%s", file, program, args, err, out)
	}
}

// probed holds that the probes ask for what the programs serve, where they
// listen; Cloud Run keeps /eventlog and paths that end in z for itself.
func (c *container) probed(t *testing.T, file string) {
	t.Helper()
	for _, p := range []probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if p == (probe{}) {
			continue
		}
		if path := p.HTTPGet.Path; path != "/health/live" && path != "/health/ready" {
			t.Errorf("%s: it probes %s", file, path)
		}
		if len(c.Ports) != 1 || c.Ports[0].ContainerPort != p.HTTPGet.Port || !slices.Contains(c.Args, "--listen=0.0.0.0:8080") || p.HTTPGet.Port != 8080 {
			t.Errorf("%s: it probes port %d", file, p.HTTPGet.Port)
		}
	}
}

// TestNamesAgree: the manifests, Terraform and the docs speak of the same topic
// and database.
func TestNamesAgree(t *testing.T) {
	t.Parallel()
	variables := read(t, "terraform/variables.tf")
	for name, want := range map[string]string{"database": "bank", "topic": "eventlog.commits"} {
		if !regexp.MustCompile(`(?s)variable "` + name + `" \{[^}]*default +=\s"` + regexp.QuoteMeta(want) + `"`).MatchString(variables) {
			t.Errorf("variables.tf: the default of %s is not %s", name, want)
		}
	}
	for file, m := range manifests(t) {
		args := strings.Join(m.instance().Containers[0].Args, " ")
		if !strings.Contains(args, "--log=datastore://my-project/bank") || strings.Contains(args, "--notify=") != strings.Contains(args, "--notify=pubsub://my-project/eventlog.commits") {
			t.Errorf("%s: %s", file, args)
		}
	}
}

// TestTerraformIsFormatted, where the program is found; .ci/run validates.
func TestTerraformIsFormatted(t *testing.T) {
	t.Parallel()
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("!!! NO TERRAFORM FOUND: deploy/terraform IS NOT CHECKED !!!")
	}
	cmd := exec.Command(terraform, "fmt", "-check", "-diff", "-recursive", "terraform")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
}
