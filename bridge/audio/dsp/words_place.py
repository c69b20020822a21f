"""Words for where it sounds: space (rooms and echoes) and moods, which are small scenes of several effects.

Facts only, in the form of `word.Word`; they are gathered in `words`.
"""

from __future__ import annotations

from typing import Final

from bridge.audio.dsp.word import Word, forms, step, tone

SPACE: Final = (
    Word("room", "space", forms("room, room reverb, chamber, ambience, live room, kitchen, bathroom, small space"), (
        step("reverb", seconds=(0.35, 0.7), damping=0.7, wet=0.95, dry=0.75, early=1.2),
    )),
    Word("hall", "space", forms(
        "hall, reverb, reverberant, concert hall, spacious, auditorium, theatre, theater, stage, wet, verb"
    ), (
        step("reverb", seconds=(1.7, 2.7), damping=0.7, wet=1.05, dry=0.65, predelay_ms=(8, 28), attack_ms=12.0,
             early=0.5),
    )),
    Word("cathedral", "space", forms(
        "cathedral, cathedral reverb, church, church reverb, temple, monastery, huge reverb, giant hall, "
        "stadium, basilica, dome"
    ), (
        step("reverb", seconds=(4.2, 6.2), damping=0.9, wet=1.25, dry=0.45, predelay_ms=(18, 45), attack_ms=60.0,
             early=0.25),
    )),
    Word("cave", "space", forms("cave, cavern, tunnel, dungeon, bunker, concrete, warehouse, industrial hall"), (
        step("reverb", seconds=(2.4, 3.8), damping=1.2, wet=1.2, dry=0.55, predelay_ms=(10, 40), attack_ms=20.0,
             early=1.6,
              colour=((90, -4), (300, 3), (1_100, 3), (3_000, -6), (9_000, -16))),
    )),
    Word("plate", "space", forms(
        "plate, plate reverb, studio plate, studio plate reverb, shiny reverb, vocal reverb, metal sheet"
    ), (
        step("reverb", seconds=(1.3, 2.3), damping=0.2, wet=0.95, dry=0.7, predelay_ms=(0, 4), early=0.0,
              colour=((100, -18), (300, -3), (1_500, 2), (7_000, 4), (14_000, 0))),
    )),
    Word("spring", "space", forms("=spring, =springs, =springy, spring reverb, surf, surf guitar, boing, twang"), (
        step("spring", seconds=(1.4, 2.4), wet=0.95),
    )),
    Word("gated reverb", "space", forms("gated reverb, gated snare, 80s drum, big drum, power drum"), (
        step("reverb", seconds=(1.2, 1.8), damping=0.3, wet=1.1, dry=0.8, predelay_ms=(0, 8), early=1.0),
        step("squash", 75, ratio=4.0, attack_seconds=(0.002, 0.006), release_seconds=(0.05, 0.12)),
        step("gate", 76, steps_a_beat=(4.0,), density=(0.45, 0.65)),
    )),
    Word("dub", "space", forms("dub, dubby, reggae, dub echo, dub delay, dub techno, sound system"), (
        step("echo", beats=(0.75, 0.75, 1.5), feedback=(0.62, 0.76), wet=0.95, drift_cents=14.0, push=1.3,
              colour=((110, -14), (300, -2), (900, 0), (2_200, -3), (5_000, -14), (12_000, -30))),
        step("spring", seconds=(1.2, 2.0), wet=0.4),
    )),
    Word("echo", "space", forms(
        "echo, delay, delayed, repeat, tape echo, tape delay, echo delay, canyon, valley, feedback"
    ), (
        step("echo", beats=(0.5, 0.75, 1.0), feedback=(0.45, 0.62), wet=0.9, drift_cents=5.0,
              colour=((90, -8), (300, 0), (3_500, 0), (8_000, -6), (15_000, -14))),
    )),
    Word("slapback", "space", forms("slapback, slap back, slap, rockabilly, doubling, double tracked, doubled"), (
        step("echo", beats=(0.16, 0.2, 0.25), feedback=(0.1, 0.22), wet=0.85,
              colour=((120, -4), (400, 0), (5_000, -2), (12_000, -12))),
    )),
    Word("ping-pong", "space", forms(
        "ping pong, ping pong delay, ping pong echo, pingpong, bouncing delay, stereo delay, bouncing, bounce"
    ), (
        step("echo", beats=(0.5, 0.75), feedback=(0.55, 0.72), wet=1.1, ping_pong=True,
              colour=((120, -8), (400, 0), (5_000, 0), (12_000, -10))),
    )),
    Word("wide", "space", forms("wide, wider, stereo, widen, width, spread, panoramic, immersive, surround"), (
        step("wide", sides=2.1, late_ms=(7, 19)),
    )),
    Word("distant", "space", forms("distant, far away, faraway, far, outside, remote, outdoor, horizon"), (
        tone((60, -12), (250, -3), (900, 0), (2_500, -7), (7_000, -18), (14_000, -30)),
        step("reverb", seconds=(1.8, 3.0), damping=1.0, wet=1.5, dry=0.25, predelay_ms=(0, 5), attack_ms=30.0,
             early=0.3),
    )),
)  # fmt: skip

MOOD: Final = (
    Word("dreamy", "mood", forms(
        "dream, dreamy, ethereal, hazy, floating, weightless, angelic, heavenly, lullaby, nostalgic, soft "
        "focus"
    ), (
        tone((60, -8), (220, 0), (1_500, 0), (4_000, -4), (9_000, -2), (15_000, -8)),
        step("chorus", voices=3, delay_ms=(9, 20), depth_ms=(1.2, 2.8), rate_hz=(0.15, 0.5), wet=0.7),
        step("shimmer", seconds=(2.6, 4.0), wet=0.55),
    )),
    Word("ambient", "mood", forms(
        "ambient, atmosphere, atmospheric, drone, soundscape, meditation, meditative, new age, lush"
    ), (
        step("cloud", grain_seconds=(0.22, 0.42), scatter_seconds=(0.12, 0.3), semitones=(-12.0, 7.0, 12.0)),
        tone((50, -6), (200, 1), (1_500, 0), (4_000, -6), (12_000, -16), move=0.9),
        step("reverb", seconds=(3.4, 5.0), damping=0.7, wet=1.2, dry=0.5, attack_ms=80.0, early=0.0),
    )),
    Word("cinematic", "mood", forms(
        "cinematic, epic, trailer, film, movie, score, dramatic, orchestra, orchestral, symphonic, soundtrack"
    ), (
        step("pitch", semitones=(-12.0,), keep=1.0, exact=True),
        tone((28, 2), (60, 5), (200, 1), (800, -2), (2_500, 0), (8_000, 3)),
        step("reverb", seconds=(2.6, 3.8), damping=0.8, wet=1.0, dry=0.7, predelay_ms=(15, 35), attack_ms=25.0),
    )),
    Word("industrial", "mood", forms(
        "industrial, factory, harsh noise, ebm, dystopian, cyberpunk, war"
    ), (
        step("drive", curve="fold", gain=(1.8, 3.2)),
        step("ring", hz=(60, 220), mix=0.45),
        tone((30, -12), (70, 4), (300, -2), (2_500, 3), (7_000, -4), (14_000, -14)),
        step("reverb", seconds=(0.8, 1.4), damping=0.4, wet=0.7, dry=0.8, early=1.6),
    )),
    Word("techno", "mood", forms(
        "techno, club, warehouse techno, rave, peak time, minimal techno, trance, edm, dance floor, "
        "dancefloor"
    ), (
        step("drive", curve="soft", gain=(1.8, 2.8)),
        step("sweep", shape="low", low_hz=700, high_hz=7_500, beats=(8.0, 16.0)),
        step("echo", beats=(0.75,), feedback=(0.3, 0.45), wet=0.4, ping_pong=True,
             colour=((200, -18), (600, 0), (4_000, 0), (10_000, -12))),
        step("pump", depth=0.75, recover_beats=(0.6, 0.85)),
    )),
    Word("house", "mood", forms("house, deep house, disco, french house, filter house, garage, uk garage, nu disco"), (
        step("sweep", shape="low", low_hz=900, high_hz=6_500, beats=(8.0, 16.0)),
        step("chorus", voices=2, delay_ms=(6, 14), depth_ms=(0.8, 1.8), rate_hz=(0.2, 0.6), wet=0.45),
        step("pump", depth=0.7, recover_beats=(0.5, 0.8)),
    )),
    Word("breaks", "mood", forms(
        "jungle, breakbeat, breaks, drum and bass, drum n bass, dnb, breakcore, amen, idm, footwork"
    ), (
        step("slices", pattern="shuffled", beats=(4.0,)),
        step("squash", ratio=5.0, attack_seconds=(0.003, 0.01), release_seconds=(0.05, 0.12)),
        step("crush", bits=(7.0, 8.5), rate_hz=(16_000, 22_000)),
    )),
    Word("trap", "mood", forms("trap, drill, phonk, memphis, cloud rap, screw, chopped and screwed"), (
        step("slices", pattern="slowed", beats=(4.0,)),
        step("drive", curve="hard", gain=(1.6, 2.6)),
        tone((28, 2), (55, 7), (150, 2), (600, -3), (3_000, 1), (8_000, 2)),
        step("reverb", seconds=(1.0, 1.6), damping=0.6, wet=0.45, dry=0.85),
    )),
    Word("ghostly", "mood", forms(
        "ghost, haunted, eerie, creepy, horror, spooky, sinister, scary, ominous, unsettling, nightmare, "
        "phantom"
    ), (
        step("pitch", semitones=(-5.0, -7.0, 6.0), keep=0.5),
        step("swell", seconds=(0.9, 1.5), wet=1.0),
        step("wobble", wow_cents=(18, 32), flutter_cents=(2, 6)),
        step("reverb", seconds=(2.6, 4.0), damping=1.0, wet=0.9, dry=0.6, attack_ms=50.0, early=0.2),
    )),
    Word("cosmic", "mood", forms(
        "space, cosmic, alien, sci fi, scifi, outer space, galaxy, galactic, orbit, futuristic, spaceship, "
        "interstellar, planet"
    ), (
        step("sweep", shape="notch", low_hz=500, high_hz=2_200, beats=(4.0, 8.0)),
        step("ring", hz=(3, 9), mix=0.3),
        step("echo", beats=(0.75, 1.0), feedback=(0.55, 0.7), wet=0.7, ping_pong=True, drift_cents=18.0,
             colour=((150, -12), (500, 0), (5_000, 0), (12_000, -10))),
        step("shimmer", seconds=(2.8, 4.2), wet=0.6, semitones=(7.0, 12.0)),
    )),
    Word("psychedelic", "mood", forms(
        "psychedelic, trippy, acid trip, hallucination, kaleidoscope, surreal, lsd, krautrock, mind bending"
    ), (
        step("sweep", shape="notch", low_hz=400, high_hz=2_000, beats=(2.0, 8.0)),
        step("swell", seconds=(0.5, 0.9), wet=0.7),
        step("pan", beats=(2.0, 4.0), depth=0.8),
        step("echo", beats=(0.75, 1.0), feedback=(0.5, 0.68), wet=0.7, drift_cents=20.0,
             colour=((120, -10), (400, 0), (3_000, 0), (9_000, -14))),
    )),
    Word("vaporwave", "mood", forms("vaporwave, vapor, vapour, mall, mallsoft, slushwave, dreampunk, plunderphonic"), (
        step("slices", pattern="slowed", beats=(4.0,)),
        tone((40, -6), (140, 3), (900, 1), (4_000, -5), (9_000, -14), (14_000, -26)),
        step("chorus", voices=2, delay_ms=(8, 18), depth_ms=(1.4, 3.0), rate_hz=(0.2, 0.6), wet=0.6),
        step("reverb", seconds=(2.0, 3.2), damping=0.7, wet=0.8, dry=0.7, predelay_ms=(10, 30)),
    )),
    Word("retro", "mood", forms(
        "retro, vintage, 80s, eighties, synthwave, outrun, 70s, seventies, 60s, sixties, old school, "
        "oldschool, classic, antique"
    ), (
        step("drive", curve="tube", gain=(1.3, 2.0)),
        tone((35, -12), (110, 2), (400, 1), (2_500, 1), (6_000, -5), (11_000, -16)),
        step("chorus", voices=2, delay_ms=(6, 14), depth_ms=(1.0, 2.2), rate_hz=(0.4, 0.9), wet=0.55),
        step("spring", seconds=(1.0, 1.8), wet=0.35),
    )),
    Word("aggressive", "mood", forms(
        "aggressive, angry, brutal, violent, hard, raw, intense, furious, energetic"
    ), (
        step("squash", ratio=8.0, attack_seconds=(0.003, 0.008), release_seconds=(0.04, 0.1)),
        step("drive", curve="hard", gain=(3.5, 6.0)),
        tone((30, -10), (70, 4), (350, -2), (2_800, 4), (7_000, 1), (14_000, -8)),
    )),
    Word("chill", "mood", forms(
        "chill, chilled, laid back, lounge, downtempo, sunset, sunday, coffee, jazzy, jazz, bossa, study, "
        "beats to study to, sleepy"
    ), (
        step("drive", curve="soft", gain=(1.0, 1.6)),
        tone((50, 0), (120, 3), (500, 1), (2_500, -4), (6_000, -11), (12_000, -24), move=0.6),
        step("wobble", wow_cents=(6, 14), flutter_cents=(1, 3)),
        step("reverb", seconds=(0.8, 1.4), damping=0.8, wet=0.55, dry=0.85),
    )),
    Word("choir", "mood", forms(
        "choir, strings, pad, organ, ensemble, choral, sustained, bowed, violin, cello, synth pad"
    ), (
        step("cloud", grain_seconds=(0.16, 0.3), scatter_seconds=(0.06, 0.16), semitones=(12.0,)),
        step("chorus", voices=3, delay_ms=(10, 24), depth_ms=(1.5, 3.2), rate_hz=(0.3, 0.9), wet=0.8),
        step("reverb", seconds=(2.4, 3.6), damping=0.6, wet=0.95, dry=0.6, attack_ms=40.0, early=0.2),
    )),
)  # fmt: skip
