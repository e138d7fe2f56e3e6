package local_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

const layoutDocument = "../../doc/storage.md"

// TestReaderOfTheLayoutUsesNothingOfOurs proves that the reader is
// independent.
func TestReaderOfTheLayoutUsesNothingOfOurs(t *testing.T) {
	for _, name := range []string{"layoutlog_test.go", "layoutrecords_test.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range f.Imports {
			require.NotContains(t, i.Path.Value, ".", "%s imports more than the standard library", name)
		}
	}
}

// TestDocumentNamesEveryKey proves that no key is added, and no number of a
// format raised, without a word in doc/storage.md.
func TestDocumentNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile(layoutDocument)
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `([^` ]+)`").FindAllStringSubmatch(string(text), -1)
	documented := make(map[string]bool)
	for _, m := range rows {
		documented[m[1]] = true
	}
	for _, where := range []struct{ file, constants string }{
		{"key.go", "^key"}, {"../../queue/local/key.go", "Prefix$"}, {"../../internal/engine/index.go", "^key"},
	} {
		found := 0
		for name, value := range constants(t, where.file) {
			if regexp.MustCompile(where.constants).MatchString(name) {
				found++
				require.True(t, documented[value], "%s is not in doc/storage.md: %s", name, value)
			}
		}
		require.NotZero(t, found, where.file)
	}
}

// TestDocumentShowsAListOfLocationsThatIsOne reads the example.
func TestDocumentShowsAListOfLocationsThatIsOne(t *testing.T) {
	text, err := os.ReadFile(layoutDocument)
	require.NoError(t, err)
	m := regexp.MustCompile("(?s)```\n(posthouse locations .*?)```").FindSubmatch(text)
	require.NotNil(t, m)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "locations"), m[1], 0o600))
	paths, err := locationsOf(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"/mnt/second/mail"}, paths)
}

// TestDocumentNamesCommandsThatExist compares what the page tells operators to
// do with what fullnode says of itself.
func TestDocumentNamesCommandsThatExist(t *testing.T) {
	text, err := os.ReadFile(layoutDocument)
	require.NoError(t, err)
	usage := constants(t, "../../examples/fullnode/main.go")["usage"]
	commands := regexp.MustCompile("`fullnode ([a-z]+(?: -?[a-z]+)?)").FindAllStringSubmatch(strings.Join(strings.Fields(string(text)), " "), -1)
	require.NotEmpty(t, commands)
	for _, m := range commands {
		require.Contains(t, usage, "\n  "+m[1], "fullnode has no command %s", m[1])
	}
}

// TestDocumentHasTheNumbersOfTheCode compares what the page says of versions,
// bounds and common texts with the code.
func TestDocumentHasTheNumbersOfTheCode(t *testing.T) {
	b, err := os.ReadFile(layoutDocument)
	require.NoError(t, err)
	text := strings.Join(strings.Fields(string(b)), " ")
	for _, n := range []struct{ file, constant, value, says string }{
		{"codec.go", "version", "2", "Each begins with a version, `u8`, which is 2."},
		{"../../queue/local/record.go", "recordVersion", "1", "Records have versions of their own: `u8`, 1."},
		{"../../internal/engine/index.go", "formatVersion", "2", "| `!format` | `u8`: 2 |"},
		{"../../internal/engine/segment.go", "segmentMagic", "phsegm01", "`phsegm01`"},
		{"../../internal/engine/checkpoint.go", "checkpointMagic", "phckpt01", "`phckpt01`"},
		{"../../message/codec.go", "codecVersion", "1", "its own version, `u8`, which is 1,"},
		{"expunge.go", "maxTombs", "2000", "at most 2,000; when there are more, the oldest 1,000 are dropped"},
		{"expunge.go", "dropTombs", "1000", "the oldest 1,000 are dropped"},
		{"tree.go", "maxFreed", "1000", "how many `v` the account has, at most 1,000"},
		{"../annotation.go", "MaxAnnotations", "1000", "has at most 1,000, with 1 MiB of names and values"},
		{"page.go", "pageBits", "6", "A page is the messages of 64 UIDs"},
		{"../../internal/engine/committer.go", "groupChanges", "512", "at most 512 changes"},
	} {
		require.Equal(t, n.value, constants(t, n.file)[n.constant], "%s in %s", n.constant, n.file)
		require.True(t, strings.Contains(text, n.says), "doc/storage.md does not say of %s: %s", n.constant, n.says)
	}
	var quoted []string
	for _, s := range commonTexts(t) {
		quoted = append(quoted, strconv.Quote(s))
	}
	texts := strings.Join(quoted, ", ")
	require.True(t, strings.Contains(text, texts), "doc/storage.md does not have the common texts of part indexes: %s", texts)
}

// constants returns those of a file whose value is written out.
func constants(t *testing.T, file string) map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	found := make(map[string]string)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		for i := 0; ok && i < len(spec.Values); i++ {
			if lit, is := spec.Values[i].(*ast.BasicLit); is {
				found[spec.Names[i].Name] = literal(t, lit)
			}
		}
		return true
	})
	return found
}

func literal(t *testing.T, lit *ast.BasicLit) string {
	if lit.Kind != token.CHAR && lit.Kind != token.STRING {
		return strings.ReplaceAll(lit.Value, "_", "")
	}
	s, err := strconv.Unquote(lit.Value)
	require.NoError(t, err)
	return s
}

// commonTexts reads them from the source of package message.
func commonTexts(t *testing.T) (texts []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "../../message/codec.go", nil, 0)
	require.NoError(t, err)
	named := map[string]string{"MissingMailbox": message.MissingMailbox, "MissingHost": message.MissingHost}
	for _, e := range f.Scope.Lookup("commonTexts").Decl.(*ast.ValueSpec).Values[0].(*ast.CompositeLit).Elts {
		switch e := e.(type) {
		case *ast.BasicLit:
			texts = append(texts, literal(t, e))
		case *ast.Ident:
			texts = append(texts, named[e.Name])
		}
	}
	require.NotEmpty(t, texts)
	require.NotContains(t, texts, "")
	return texts
}
