package posthouse

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestP53EveryFaultAndPromiseOfAFrontEndHasATest whose name begins with its
// number: those of front ends (P), and of faults and bad input behind and before
// them (X). Some carry several, as TestX05P37.
func TestP53EveryFaultAndPromiseOfAFrontEndHasATest(t *testing.T) {
	names := testNames(t)
	for _, x := range []string{"01", "02", "03", "04", "05", "06", "08", "10", "11", "12", "14", "15", "16"} {
		requireTest(t, names, "X"+x)
	}
	for n := 1; n <= 54; n++ {
		if n != 25 { // of HTTP, which no front end speaks
			requireTest(t, names, "P"+strconv.Itoa(n))
		}
	}
}

func requireTest(t *testing.T, names []string, id string) {
	t.Helper()
	begins := regexp.MustCompile(`^Test([A-Z]+\d+)*` + id + `(\D|$)`)
	for _, name := range names {
		if begins.MatchString(name) {
			return
		}
	}
	require.Fail(t, "no test is called "+id)
}

// testNames returns the names of all tests.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
		return err
	}))
	return names
}
