package posthouse

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/posthouse-mail/posthouse/"

// floors says how high a package stands in the house; a package may import
// only packages that stand lower. A longer path beats a shorter one.
var floors = map[string]int{
	"internal/power":    0,
	"internal/lru":      0,
	"internal/seldom":   0,
	"internal/hotfile":  0,
	"internal/testcert": 0,
	"internal/mutation": 0,
	"internal/utf7":     0,
	"internal/fold":     0,
	"internal/inflate":  0,
	"internal/dialogue": 1,
	"internal/ldapstub": 1,
	"mail":              1,
	"internal/wire":     5,
	"internal/splice":   6,
	"message":           10,
	"listener":          10,
	"resolver":          10,
	"auth":              20,
	"mapping":           20,
	"directory":         20,
	"storage":           20,
	"queue":             20,
	"internal/engine":   21,
	"internal/front":    21,
	"auth/":             25, // adapters and conformance suites below an interface
	"auth/internal/":    24, // shared by the adapters
	"mapping/":          25,
	"directory/":        25,
	"storage/":          25,
	"directory/ldap":    22, // below all that looks users up in it
	"internal/ldapfake": 24, // a directory in memory, for tests
	"storage/internal/": 24, // shared by the stores
	"queue/":            25,
	"resolver/":         25,
	"internal/engine/":  25,
	"queue/local":       26, // shares the log of storage/local
	"proxy":             28, // what the proxies of all protocols share
	"smtp":              30,
	"smtp/sender":       29,
	"imap":              30,
	"pop3":              30,
	"managesieve":       30,
	"smtp/":             30,
	"processing":        35,
	"server":            40,
	"examples/":         50,
	"bench":             50,
	"internal/realtest": 24, // starts real servers for tests

	"examples/internal/": 49, // shared by the examples
	"internal/realtest/": 25, // drives real clients
}

func floorOf(t *testing.T, path string) int {
	t.Helper()
	best, floor := "", -1
	for prefix, f := range floors {
		if (path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix)) && len(prefix) > len(best) {
			best, floor = prefix, f
		}
	}
	require.NotEqual(t, -1, floor, "package %s stands on no floor: give it one here", path)
	return floor
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestPackagesImportOnlyLowerFloors(t *testing.T) {
	for _, line := range goList(t, "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...") {
		words := strings.Fields(line)
		path, ok := strings.CutPrefix(words[0], module)
		if !ok {
			continue
		}
		for _, imported := range words[1:] {
			if lower, ok := strings.CutPrefix(imported, module); ok {
				require.Less(t, floorOf(t, lower), floorOf(t, path), "%s imports %s", path, lower)
			}
		}
	}
}

// TestPartsLinkNoForeignMachinery proves that whoever imports one part gets
// only that part's dependencies.
func TestPartsLinkNoForeignMachinery(t *testing.T) {
	heavy := []string{
		"github.com/cockroachdb/", "github.com/prometheus/", "github.com/go-ldap/", "github.com/BurntSushi/",
		"github.com/caddyserver/", "github.com/jackc/", "github.com/go-jose/", "github.com/jcmturner/", module + "internal/engine", module + "storage/local",
	}
	for _, part := range []string{"mail", "message", "listener", "auth", "mapping", "directory", "storage", "queue", "proxy", "smtp", "imap", "pop3", "managesieve", "processing", "server"} {
		for _, dep := range goList(t, "-deps", "./"+part) {
			for _, h := range heavy {
				require.False(t, strings.HasPrefix(dep, h), "%s links %s", part, dep)
			}
		}
	}
	for _, dep := range goList(t, "-deps", "./imap") {
		require.NotContains(t, dep, module+"smtp")
		require.NotContains(t, dep, module+"pop3")
	}
}

// TestSinglePartExamplesAreShortEnoughToCopy holds the examples of one part
// to 80 lines each.
func TestSinglePartExamplesAreShortEnoughToCopy(t *testing.T) {
	for _, name := range []string{"smtpsink", "imapserver", "pop3server", "imapproxy"} {
		text, err := os.ReadFile("examples/" + name + "/main.go")
		require.NoError(t, err)
		require.LessOrEqual(t, strings.Count(string(text), "\n"), 80, name)
	}
}
