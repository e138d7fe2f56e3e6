package mapping_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/mappingtest"
)

func TestP2TableKeepsThePromisesOfAMapper(t *testing.T) {
	m, err := mapping.ReadTable(strings.NewReader("alice@example.test a:1,user=x\nbob b\n*@example.net c,tls=start\n"))
	require.NoError(t, err)
	mappingtest.Run(t, mappingtest.Fixture{
		Mapper: m,
		Known: map[string]mapping.Route{
			"alice@example.test": {Host: "a", Port: 1, User: "x"}, "bob": {Host: "b"}, "any@example.net": {Host: "c", TLS: mapping.TLSStart},
		},
		Unknown: "mallory@example.test",
	})
}

func TestP2FileKeepsThePromisesOfAMapper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.map")
	require.NoError(t, os.WriteFile(path, []byte("alice@example.test a:1,user=x\nbob b\n"), 0o600))
	m, err := mapping.OpenFile(path)
	require.NoError(t, err)
	mappingtest.Run(t, mappingtest.Fixture{
		Mapper:  m,
		Known:   map[string]mapping.Route{"alice@example.test": {Host: "a", Port: 1, User: "x"}, "bob": {Host: "b"}},
		Unknown: "mallory@example.test",
	})
}

func TestP2HashKeepsThePromisesOfAMapper(t *testing.T) {
	one := mapping.Route{Host: "10.0.0.11", Port: 1143}
	m, err := mapping.NewHash([]mapping.HashHost{{Route: one}}, mapping.HashOptions{})
	require.NoError(t, err)
	mappingtest.Run(t, mappingtest.Fixture{Mapper: m, Known: map[string]mapping.Route{"alice@example.test": one, "bob": one}})
}

func TestP2StaticKeepsThePromisesOfAMapper(t *testing.T) {
	mappingtest.Run(t, mappingtest.Fixture{
		Mapper: mapping.Static(mapping.Route{Host: "a"}),
		Known:  map[string]mapping.Route{"alice": {Host: "a"}},
		Broken: mapping.Static(mapping.Route{}),
	})
}

func TestAsFindsPowersThroughWrappers(t *testing.T) {
	inner := mapping.Static(mapping.Route{Host: "a"})
	_, ok := mapping.As[interface{ Len() int }](wrapper{inner})
	require.False(t, ok)
	m, err := mapping.ReadTable(strings.NewReader("bob b\n"))
	require.NoError(t, err)
	sized, ok := mapping.As[interface{ Len() int }](wrapper{wrapper{m}})
	require.True(t, ok)
	require.Equal(t, 1, sized.Len())
}

type wrapper struct{ mapping.Mapper }

func (w wrapper) Unwrap() mapping.Mapper { return w.Mapper }

func TestP2WrappersKeepThePromisesOfAMapper(t *testing.T) {
	some, err := mapping.ReadTable(strings.NewReader("alice@example.test a:1,user=x\nbob b\n*@example.net c,tls=start\n"))
	require.NoError(t, err)
	none, err := mapping.ReadTable(strings.NewReader(""))
	require.NoError(t, err)
	down := mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
		return mapping.Route{}, errors.New("connection refused")
	})
	quiet := slog.New(slog.DiscardHandler)
	for name, wrap := range map[string]func(mapping.Mapper) mapping.Mapper{
		"cache": func(m mapping.Mapper) mapping.Mapper { return mapping.NewCache(m, mapping.CacheOptions{Logger: quiet}) },
		"checked": func(m mapping.Mapper) mapping.Mapper {
			return mapping.NewChecked(m, mapping.CheckedOptions{Logger: quiet})
		},
		"chain": func(m mapping.Mapper) mapping.Mapper { return mapping.Chain(none, m, none) },
		"default": func(m mapping.Mapper) mapping.Mapper {
			return mapping.Default(m, mapping.Route{Host: "d"}, mapping.InDomains("elsewhere.test"))
		},
		"cache of checked chain": func(m mapping.Mapper) mapping.Mapper {
			return mapping.NewCache(mapping.NewChecked(mapping.Chain(m), mapping.CheckedOptions{Logger: quiet}), mapping.CacheOptions{Logger: quiet})
		},
	} {
		t.Run(name, func(t *testing.T) {
			mappingtest.Run(t, mappingtest.Fixture{
				Mapper: wrap(some),
				Known: map[string]mapping.Route{
					"alice@example.test": {Host: "a", Port: 1, User: "x"}, "bob": {Host: "b"}, "any@example.net": {Host: "c", TLS: mapping.TLSStart},
				},
				Unknown: "mallory@example.test",
				Broken:  wrap(down),
			})
		})
	}
}
