package userfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const format = "posthouse test"

func set[T any](f *File[T], user string, value *T) error {
	return f.Change(context.Background(), func(func(string) T) (map[string]*T, error) { return map[string]*T{user: value}, nil })
}

func get[T any](t *testing.T, f *File[T], user string) T {
	v, err := f.Get(t.Context(), user)
	require.NoError(t, err)
	return v
}

func ptr[T any](v T) *T { return &v }

func TestWhatWasAcknowledgedIsThereAfterOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.jsonl")
	f, err := Open[string](path, format)
	require.NoError(t, err)
	require.NoError(t, set(f, "alice", ptr("one")))
	require.NoError(t, set(f, "bob", ptr("two\n<three>")))
	require.NoError(t, set(f, "alice", ptr("four")))
	require.NoError(t, set(f, "carol", ptr("five")))
	require.NoError(t, set(f, "carol", nil))
	_, err = Open[string](path, format)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	_, err = f.Get(t.Context(), "alice")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, set(f, "alice", nil), ErrClosed)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	f, err = Open[string](path, format)
	require.NoError(t, err)
	defer f.Close()
	require.Equal(t, map[string]string{"alice": "four", "bob": "two\n<three>"}, f.all)
	require.Empty(t, get(t, f, "carol"))
}

// TestAFaultAtAnyStepLosesNothing fails each step of a change in turn. The
// file is then as before, or as after it when the fault came after the rename.
func TestAFaultAtAnyStepLosesNothing(t *testing.T) {
	failed := errors.New("disk failed")
	for fault := 1; ; fault++ {
		path := filepath.Join(t.TempDir(), "users.jsonl")
		count, at := 0, 0
		d := disk{step: func() error {
			if count++; count == at {
				return failed
			}
			return nil
		}}
		f, err := open[string](d, path, format)
		require.NoError(t, err)
		require.NoError(t, set(f, "alice", ptr("old")))
		count, at = 0, fault
		err = set(f, "alice", ptr("new"))
		if count < fault {
			require.NoError(t, err)
			require.Greater(t, fault, 4, "every step was failed")
			require.NoError(t, f.Close())
			return
		}
		require.ErrorIs(t, err, failed)
		require.Equal(t, "old", get(t, f, "alice"), "what was not acknowledged is not seen")
		at = 0
		again := set(f, "bob", ptr("also"))
		require.NoError(t, f.Close())
		f, err = Open[string](path, format)
		require.NoError(t, err)
		if again == nil {
			require.Equal(t, map[string]string{"alice": "old", "bob": "also"}, f.all)
		} else {
			require.ErrorIs(t, again, failed, "nobody knows what is on disk: no more changes")
			require.Equal(t, map[string]string{"alice": "new"}, f.all)
		}
		require.NoError(t, f.Close())
	}
}

func TestDamageIsAnErrorThatShowsNothing(t *testing.T) {
	good, err := encode(format, map[string]string{"alice": "secret", "bob": "secret"})
	require.NoError(t, err)
	lines := strings.SplitAfter(string(good), "\n")
	for what, text := range map[string]string{
		"empty": "", "cut after a line": lines[0] + lines[1], "cut in a line": string(good[:len(good)-5]), "a line twice": lines[0] + lines[1] + lines[1],
		"no head": lines[1] + lines[2], "another format": strings.Replace(string(good), format, "x", 1), "a later version": strings.Replace(string(good), `"version":1`, `"version":2`, 1),
		"zeros": string(make([]byte, 100)), "a field more": strings.Replace(string(good), `"value"`, `"x":1,"value"`, 1), "two values in a line": strings.Replace(string(good), "}\n", "}{}\n", 2),
		"a long line": lines[0] + `{"user":"` + strings.Repeat("x", maxLine) + `"}`, "no user": strings.Replace(string(good), `"alice"`, `""`, 1),
	} {
		path := filepath.Join(t.TempDir(), "users.jsonl")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Open[string](path, format)
		require.ErrorIs(t, err, ErrDamage, what)
		require.NotContains(t, err.Error(), "secret")
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(left), "damage is for somebody to look at")
	}
}

func TestAFileIsBounded(t *testing.T) {
	f, err := Open[string](filepath.Join(t.TempDir(), "users.jsonl"), format)
	require.NoError(t, err)
	defer f.Close()
	require.ErrorIs(t, set(f, "alice", ptr(strings.Repeat("x", maxLine))), ErrFull)
	many := map[string]*string{}
	for i := range maxUsers + 1 {
		many[fmt.Sprint(i)] = ptr("")
	}
	err = f.Change(t.Context(), func(func(string) string) (map[string]*string, error) { return many, nil })
	require.ErrorIs(t, err, ErrFull)
	require.Empty(t, f.all)
	require.ErrorIs(t, set(f, "", ptr("x")), ErrUser)
	require.ErrorIs(t, set(f, "\xff", ptr("x")), ErrUser)
}

func TestChangesComeOneAfterTheOther(t *testing.T) {
	f, err := Open[int](filepath.Join(t.TempDir(), "users.jsonl"), format)
	require.NoError(t, err)
	defer f.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			err := f.Change(t.Context(), func(get func(string) int) (map[string]*int, error) {
				return map[string]*int{"alice": ptr(get("alice") + 1)}, nil
			})
			if err != nil {
				t.Error(err)
			}
			_, _ = f.Get(t.Context(), "alice")
		})
	}
	wg.Wait()
	require.Equal(t, 20, get(t, f, "alice"))
}

// FuzzFile proves that whatever is in a file is read or refused, and that what
// is read is written again as it was.
func FuzzFile(f *testing.F) {
	good, err := encode(format, map[string][]string{"alice": {"a", "b"}, "bob": nil})
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"format":"posthouse test","version":1,"users":0}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := decode[[]string](bytes.NewReader(text), format)
		if err != nil {
			return
		}
		again, err := encode(format, all)
		if err != nil {
			return // escapes make a line longer
		}
		same, err := decode[[]string](bytes.NewReader(again), format)
		if err != nil || !maps.EqualFunc(all, same, func(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("%q, %v became %q", text, err, again)
		}
	})
}
