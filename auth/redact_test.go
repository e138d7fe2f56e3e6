package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoWayOfPrintingShowsAPassword(t *testing.T) {
	var out bytes.Buffer
	for _, v := range []any{
		Credentials{User: "alice", Password: "hunter2"}, &Credentials{User: "alice", Password: "hunter2"},
		Secret{Scheme: "PLAIN", Value: []byte("hunter2")},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&out, verb, v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("login", "credentials", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("login", "credentials", v)
	}
	text, err := json.Marshal(Credentials{User: "alice", Password: "hunter2"})
	require.NoError(t, err)
	out.Write(text)
	require.Contains(t, out.String(), "alice")
	require.NotContains(t, out.String(), "hunter2")
	require.NotContains(t, out.String(), fmt.Sprint([]byte("hunter2")))
}
