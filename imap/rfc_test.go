package imap

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// offered returns what CAPABILITY ever says: before login with and without
// encryption, and after it.
func offered(t *testing.T) []string {
	_, addr := newServer(t, func(s *Server) {
		s.Limits.Messages = 1000
		s.QuotaAdmin = func(string) bool { return true }
		sharing(s)
	})
	_, closed := newServer(t, func(s *Server) { s.PlainAuth = nil })
	told := login(t, addr).ok("CAPABILITY") + dial(t, addr).ok("CAPABILITY") + dial(t, closed).ok("CAPABILITY")
	var names []string
	for name := range strings.FieldsSeq(strings.ReplaceAll(told, "* CAPABILITY", "")) {
		switch before, _, _ := strings.Cut(name, "="); before {
		case "AUTH": // mechanisms have their own table
			continue
		case "APPENDLIMIT", "MESSAGELIMIT":
			name = before
		case "RIGHTS":
			name = before + "="
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// documented returns the capabilities of the rows of the page that are in one
// of these states.
func documented(t *testing.T, states ...string) (names []string) {
	page, err := os.ReadFile("../doc/rfc.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(page), "\n## IMAP\n")
	table, _, _ = strings.Cut(table, "\n## ")
	code := regexp.MustCompile("`([^`]+)`")
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		if len(cells) < 5 || !slices.Contains(states, strings.TrimSpace(cells[3])) {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names
}

func TestPageOfRFCsSaysWhatCapabilitySays(t *testing.T) {
	require.Equal(t, offered(t), documented(t, "yes", "partly"))
	require.Empty(t, documented(t, "no"), "code stands for what is offered")
}
