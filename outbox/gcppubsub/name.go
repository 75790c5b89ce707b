package gcppubsub

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
)

// id is the form of the id of a topic or subscription.
var id = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9._~+%-]{2,254}$`)

// fullName returns the full name of a topic or subscription ("topics",
// "subscriptions") that is given by its id, or by its full name already.
func fullName(project, kind, name string) (string, error) {
	short := name
	if parts := strings.Split(name, "/"); len(parts) == 4 && parts[0] == "projects" && parts[1] != "" && parts[2] == kind {
		project, short = parts[1], parts[3]
	}
	if !id.MatchString(short) || strings.HasPrefix(short, "goog") {
		return "", fmt.Errorf("%.300q is no name in %s: want a letter and 2 to 254 letters, digits or ._~+%%-, and not goog at the start", name, kind)
	}
	return "projects/" + project + "/" + kind + "/" + short, nil
}

// shortName is the id in a full name.
func shortName(full string) string { return full[strings.LastIndexByte(full, '/')+1:] }

// ownName returns the id of a new subscription of a topic.
func ownName(topic string) string {
	return shortName(topic) + ".own-" + strings.ToLower(rand.Text())
}
