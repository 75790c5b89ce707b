package emulator

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// find returns the programs that the emulator is run with, or what is missing.
func (k Kind) find() (java, jar string, err error) {
	gcloud, err := exec.LookPath("gcloud")
	if err != nil {
		return "", "", fmt.Errorf("no gcloud on PATH: %w", err)
	}
	gcloud, err = filepath.EvalSymlinks(gcloud)
	if err != nil {
		return "", "", err
	}
	platform := filepath.Join(filepath.Dir(filepath.Dir(gcloud)), "platform")
	jars, err := filepath.Glob(filepath.Join(platform, k.jar))
	if err != nil {
		return "", "", err
	}
	if len(jars) == 0 {
		return "", "", fmt.Errorf("the Google Cloud SDK has no %s in %s", k.jar, platform)
	}
	for _, program := range []string{"java", "sh"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", "", err
		}
	}
	return "java", jars[len(jars)-1], nil
}
