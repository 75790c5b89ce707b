package cli

import "testing"

// TestBeside: logs that share a database have different namespaces for what is kept
// beside them.
func TestBeside(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                              "",
		"&namespace=n":                  "n",
		"&namespace=n&kind=Books":       "n.Books",
		"&kind=Books":                   "Books",
		"&namespace=n&kind=Rollforward": "n",
	} {
		s := Store{log: "datastore://p/d?emulator=127.0.0.1:1" + query}
		client, namespace, err := s.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
		if namespace != want {
			t.Errorf("%s: %q, expected %q", s.log, namespace, want)
		}
	}
}
