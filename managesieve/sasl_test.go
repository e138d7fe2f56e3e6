package managesieve

import (
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
)

// quotedExchange runs SCRAM-SHA-256 over strings and returns how it ended.
func quotedExchange(t *testing.T, c *client, answers dialogue.Answer) string {
	t.Helper()
	first, err := answers(c.Conn, nil)
	require.NoError(t, err)
	line := `AUTHENTICATE "SCRAM-SHA-256" "` + base64.StdEncoding.EncodeToString(first) + `"`
	for {
		_, err := io.WriteString(c, line+"\r\n")
		require.NoError(t, err)
		said := c.line()
		if !strings.HasPrefix(said, `"`) {
			return said
		}
		challenge, err := base64.StdEncoding.DecodeString(strings.Trim(said, `"`))
		require.NoError(t, err)
		if strings.HasPrefix(string(challenge), "v=") {
			line = `""`
			continue
		}
		response, err := answers(c.Conn, challenge)
		require.NoError(t, err)
		line = `"` + base64.StdEncoding.EncodeToString(response) + `"`
	}
}
