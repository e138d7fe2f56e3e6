package local

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// TestDamagedIndexIsFoundAndMadeAgainFromTheLog spoils, one after the other,
// every file of the index, at its beginning, in the middle and near its end.
func TestDamagedIndexIsFoundAndMadeAgainFromTheLog(t *testing.T) {
	p := plant(t)
	require.NoError(t, p.s.Close())
	files, err := p.fs.List("store/index")
	require.NoError(t, err)
	damaged := 0
	for _, name := range files {
		for at := range 3 {
			if strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob") {
				damaged += spoilIndex(t, "store/index/"+name, at)
			}
		}
	}
	require.NotZero(t, damaged)
}

// spoilIndex spoils a file of the index of a new store. It returns how many
// damages of the index there were.
func spoilIndex(t *testing.T, name string, at int) int {
	p := plant(t)
	require.NoError(t, p.s.Close())
	if _, err := p.fs.Stat(name); err != nil {
		return 0 // not every store has the same files
	}
	p.write(name, func(b []byte) []byte { b[(len(b)-1)*at/2] ^= 0x10; return b })
	var damage Damage
	s, err := Open("store", plantedOptions(p.fs))
	if err != nil {
		damage, _ = DamageOf(err)
	} else {
		require.NoError(t, s.Check(t.Context(), func(d Damage) { damage = d }))
		require.NoError(t, s.Close())
	}
	if damage.Kind == "" {
		require.NoError(t, err)
		return 0 // nothing stands there that is ever read
	}
	require.Equal(t, DamageIndex, damage.Kind, damage)
	require.Equal(t, rebuilt, damage.Repair)
	o := plantedOptions(p.fs)
	o.Rebuild = true
	p.s, err = Open("store", o)
	require.NoError(t, err)
	require.Empty(t, damages(t, p.s))
	p.requireKept(func(string) bool { return false })
	require.NoError(t, p.s.Close())
	return 1
}

func TestSalvageTellsOfEachDamageAsACheckDoes(t *testing.T) {
	var told []Damage
	Salvage(func(d Damage) { told = append(told, d) })(&engine.Damage{Segment: 3, Offset: 7, What: "record"})
	require.Len(t, told, 1)
	require.Equal(t, DamageLogRecord, told[0].Kind)
	d, ok := DamageOf(&engine.Damage{What: "position in the log"})
	require.True(t, ok)
	require.Equal(t, DamageIndex, d.Kind)
	_, ok = DamageOf(engine.ErrLocked)
	require.False(t, ok)
}

// TestInspectTellsHowFarItHasComeAndWhatItSaw also proves that the figures of
// Stats are those of an inspection.
func TestInspectTellsHowFarItHasComeAndWhatItSaw(t *testing.T) {
	p := plant(t)
	defer func() { require.NoError(t, p.s.Close()) }()
	stages := make(map[string]int)
	sum, err := p.s.Inspect(t.Context(), Inspection{Report: func(d Damage) { t.Error(d) }, Progress: func(now Progress) { stages[now.Stage]++ }})
	require.NoError(t, err)
	for _, stage := range []string{"log", "mailboxes", "bodies", "index"} {
		require.Positive(t, stages[stage], stage)
	}
	require.Less(t, len(stages), 10)
	stats, err := p.s.Stats(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, Summary{
		Accounts: stats.Accounts, Mailboxes: stats.Mailboxes, Messages: stats.Messages, Bodies: stats.Bodies,
		Octets: stats.Octets, Log: stats.Log, Segments: len(stats.Segments),
	}, sum)
	require.EqualValues(t, 2, stats.Retained)
	require.Len(t, stats.Largest, 2)
	require.Equal(t, "alice", stats.Largest[0].User)
	require.Greater(t, stats.Sharing(), 0.0)
	require.Less(t, stats.Dead(), 1.0)
}
