"""Words for the sound itself: tone (what the spectrum looks like) and grit (what was done to it).

Facts only, in the form of `word.Word`; they are gathered in `words`.
"""

from __future__ import annotations

from typing import Final

from bridge.audio.dsp.word import Word, forms, step, tone

TONE: Final = (
    Word("warm", "tone", forms("warm, warmth, cosy, cozy, woody, honey"), (
        step("drive", curve="tube", gain=(0.7, 1.5)),
        tone((30, -3), (90, 3), (240, 3.5), (700, 1), (2_500, -3), (6_000, -7), (14_000, -12)),
    )),
    Word("dark", "tone", forms("dark, gloomy, murky, dull, sombre, somber, brooding, night, midnight"), (
        tone((60, 3), (250, 2), (700, 0), (1_600, -11), (4_000, -26), (12_000, -44), move=0.8),
    )),
    Word("bright", "tone", forms("bright, brilliant, sparkle, shiny, glossy, brighten"), (
        tone((60, -6), (250, -4), (900, -1), (2_500, 4), (6_000, 9), (14_000, 10), move=0.5),
    )),
    Word("airy", "tone", forms("airy, air, =breathy, silky, light, feathery"), (
        tone((60, -10), (200, -5), (800, -1), (3_000, 1), (8_000, 8), (15_000, 13), move=0.4),
    )),
    Word("thin", "tone", forms("thin, =tinny, cheap, transistor, weak"), (
        tone((80, -40), (250, -22), (600, -4), (1_500, 4), (4_000, 3), (7_000, -2), (13_000, -10), move=0.5),
    )),
    Word("fat", "tone", forms("fat, thick, bassy, bass heavy, boomy, heavy bass, sub, =big, beefy, low end"), (
        step("drive", curve="soft", gain=(0.7, 1.5)),
        tone((28, 0), (55, 8), (120, 6), (300, 0), (700, -3), (2_500, 0), (10_000, -4)),
    )),
    Word("muffled", "tone", forms(
        "muffle, next door, behind wall, through wall, blanket, distant party, woolly, low pass, lowpass"
    ), (
        tone((60, 3), (200, 2), (420, -3), (900, -20), (2_000, -40), (8_000, -60), move=0.5),
    )),
    Word("underwater", "tone", forms("underwater, submerged, under water, aquatic, ocean, drowned, sea"), (
        step("sweep", shape="low", low_hz=240, high_hz=800, beats=(4.0, 8.0)),
        step("wobble", wow_cents=(22, 40), flutter_cents=(2, 5), wow_hz=(0.3, 0.7)),
        step("chorus", voices=2, delay_ms=(12, 22), depth_ms=(2.0, 4.5), rate_hz=(0.2, 0.6), wet=0.6),
    )),
    Word("telephone", "tone", forms("telephone, phone, phone call, megaphone, walkie talkie, intercom, loudspeaker"), (
        tone((150, -48), (300, -14), (420, 0), (1_300, 3), (2_400, 4), (3_300, -4), (4_400, -46), move=0.08, place=29),
        step("drive", curve="hard", gain=(2.2, 3.4)),
        tone((180, -40), (330, -6), (500, 0), (1_700, 3), (3_000, -1), (4_200, -40), move=0.12),
    )),
    Word("radio", "tone", forms("radio, am radio, wireless, broadcast, transmission, shortwave"), (
        tone((100, -36), (260, -8), (600, 1), (1_800, 4), (3_800, -2), (6_000, -34), move=0.25, place=29),
        step("squash", ratio=5.0, attack_seconds=(0.003, 0.008), release_seconds=(0.08, 0.18)),
        step("drive", curve="tube", gain=(1.4, 2.2)),
        step("hiss", db=(-34, -28), dark=0.2),
    )),
    Word("boxy", "tone", forms("boxy, hollow, nasal, honky, cardboard, wooden"), (
        tone((90, -20), (250, -4), (480, 9), (800, 5), (1_500, -6), (4_000, -14), (10_000, -26), move=0.4),
    )),
    Word("harsh", "tone", forms("harsh, sharp, piercing, edgy, presence, forward, crisp"), (
        tone((80, -8), (400, -3), (1_500, 3), (3_200, 8), (5_000, 6), (12_000, 2), move=0.3),
        step("drive", curve="hard", gain=(1.0, 2.2)),
    )),
    Word("mellow", "tone", forms("mellow, smooth, round, velvet, silken, relaxed, soothing, calm"), (
        tone((60, 1), (300, 2), (1_200, 0), (3_000, -7), (7_000, -13), (15_000, -20), move=0.5),
        step("squash", ratio=2.5, attack_seconds=(0.005, 0.02), release_seconds=(0.12, 0.3)),
    )),
    Word("filtered", "tone", forms("filter, sweep, filter sweep, sweeping, acid, resonant, cutoff"), (
        step("sweep", shape="low", low_hz=300, high_hz=5_200, beats=(4.0, 16.0)),
    )),
    Word("wah", "tone", forms("wah, wah wah, auto wah, funky, funk, quack"), (
        step("sweep", shape="band", low_hz=380, high_hz=2_400, beats=(0.5, 2.0)),
        step("drive", curve="tube", gain=(0.9, 1.4)),
    )),
    Word("talking", "tone", forms("=talking, talk box, talkbox, vowel, formant, =speaking"), (
        step("drive", curve="hard", gain=(1.4, 2.2)),
        step("sweep", shape="vowel", low_hz=600, high_hz=1_700, beats=(0.5, 2.0)),
    )),
    Word("phaser", "tone", forms("phaser, phased, phase, phasing, swirl, swirling, whoosh"), (
        step("sweep", shape="notch", low_hz=450, high_hz=1_900, beats=(4.0, 8.0)),
    )),
    Word("flanger", "tone", forms("flanger, flange, jet, comb"), (
        step("flanger", delay_ms=(1.4, 3.2), rate_hz=(0.09, 0.3), feedback=0.7),
    )),
)  # fmt: skip

GRIT: Final = (
    Word("tape", "grit", forms("tape, reel, reel to reel, analog, analogue, magnetic, four track, 4 track"), (
        step("drive", curve="soft", gain=(1.4, 2.2)),
        tone((25, -12), (60, 3), (110, 3), (300, 0), (5_000, 0), (9_000, -5), (16_000, -18), move=0.3),
        step("wobble", wow_cents=(7, 15), flutter_cents=(2.5, 6)),
        step("hiss", db=(-46, -40), dark=0.4),
    )),
    Word("lo-fi", "grit", forms(
        "lofi, lo fi, low fi, low fidelity, degraded, worn, dusty, old, aged, chillhop, rough"
    ), (
        step("crush", bits=(7.0, 8.5), rate_hz=(12_000, 17_000)),
        tone((40, -14), (120, 1), (300, 3), (1_200, 1), (3_200, -3), (6_000, -14), (12_000, -36), move=0.4),
        step("wobble", wow_cents=(10, 20), flutter_cents=(2, 5)),
        step("hiss", db=(-42, -36), dark=0.6),
    )),
    Word("vinyl", "grit", forms(
        "vinyl, vinyl record, old record, =records, crackle, crackling, lp, turntable, gramophone, "
        "shellac, phonograph, 78 rpm, scratchy"
    ), (
        step("drive", curve="soft", gain=(0.7, 1.5)),
        tone((25, -24), (60, -3), (140, 2), (1_000, 1), (5_000, -2), (9_000, -9), (15_000, -24), move=0.2),
        step("wobble", wow_cents=(9, 17), flutter_cents=(0.5, 1.5), wow_hz=(0.55, 0.56)),
        step("hiss", db=(-44, -38), dark=0.8),
        step("crackle", db=(-17, -11), per_second=(7, 16)),
    )),
    Word("cassette", "grit", forms("cassette, walkman, boombox, mixtape, vhs, camcorder, dictaphone"), (
        step("squash", ratio=2.5, attack_seconds=(0.004, 0.01), release_seconds=(0.1, 0.2)),
        step("drive", curve="soft", gain=(1.6, 2.4)),
        tone((35, -18), (90, 2), (260, 2), (1_500, 1), (4_500, -4), (8_000, -16), (13_000, -36), move=0.35),
        step("wobble", wow_cents=(14, 26), flutter_cents=(5, 10)),
        step("hiss", db=(-38, -32), dark=0.3),
    )),
    Word("saturated", "grit", forms(
        "saturate, tube, valve, preamp, driven, hot, colour, color, juicy, harmonic, harmonic colour, harmonic color"
    ), (
        step("drive", curve="tube", gain=(1.9, 4.2)),
        tone((25, -18), (50, 1), (200, 2), (1_000, 0), (6_000, -2), (14_000, -7), move=0.2),
    )),
    Word("overdrive", "grit", forms(
        "overdrive, crunch, crunchy, blues, amp, amplifier, guitar amp, garage rock, rock"
    ), (
        tone((60, -12), (180, -3), (700, 3), (1_800, 2), (6_000, 0), move=0.1, place=29),
        step("drive", curve="tube", gain=(4.5, 7.0)),
        tone((60, -8), (120, 2), (500, 0), (2_200, 3), (4_000, -3), (6_500, -22), (12_000, -44), move=0.3),
    )),
    Word("distorted", "grit", forms(
        "distort, dirty, grit, gritty, filthy, nasty, heavy metal, grunge, mangled, blown, overload, clipped"
    ), (
        step("drive", curve="hard", gain=(6.0, 10.0)),
        tone((25, -24), (60, 0), (400, 1), (2_500, 1), (5_500, -5), (11_000, -20), move=0.5),
    )),
    Word("fuzz", "grit", forms("fuzz, fuzzy, buzz, buzzing, doom, stoner, shoegaze, wall of sound, square wave"), (
        step("drive", curve="fuzz", gain=(14.0, 24.0)),
        tone((25, -24), (80, 3), (350, 0), (900, -3), (2_200, 2), (4_200, -8), (9_000, -30), move=0.6),
    )),
    Word("crushed", "grit", forms(
        "crush, bitcrush, bit crush, bitcrusher, bit, digital, aliased, downsampled, pixel, pixelated"
    ), (
        step("crush", bits=(3.6, 4.8), rate_hz=(5_500, 9_000)),
    )),
    Word("8-bit", "grit", forms(
        "8 bit, 8bit, eight bit, chiptune, chip, arcade, video game, game boy, gameboy, nes, console game, "
        "retro game"
    ), (
        step("drive", curve="hard", gain=(3.0, 5.0)),
        step("crush", bits=(2.6, 3.6), rate_hz=(8_000, 12_500)),
        step("tremolo", beats=(0.125, 0.25), depth=0.5, square=1.0),
    )),
    Word("folded", "grit", forms("fold, wavefold, wavefolder, west coast, buchla, growl, snarl, screaming, scream"), (
        step("drive", curve="fold", gain=(2.4, 4.2)),
        tone((25, -24), (60, 0), (2_000, 0), (6_000, -4), (12_000, -16), move=0.6),
    )),
    Word("noisy", "grit", forms("noise, noisy, hiss, hissing, static, =grainy"), (
        step("hiss", db=(-18, -12), dark=0.5),
        step("crackle", db=(-16, -10), per_second=(2, 6)),
    )),
    Word("compressed", "grit", forms(
        "compress, squash, squashed, punchy, punch, glue, smash, smashed, pumped up, loud, parallel "
        "compression"
    ), (
        step("squash", ratio=9.0, attack_seconds=(0.003, 0.02), release_seconds=(0.04, 0.18)),
        step("drive", curve="soft", gain=(1.5, 2.8)),
        tone((40, 0), (90, 2), (400, -1), (3_000, 2), (10_000, 2)),
    )),
    Word("metallic", "grit", forms(
        "metal, metallic, ring mod, ring modulator, ring modulated, bell, clang, gong, steel"
    ), (
        step("ring", hz=(170, 640), mix=0.85),
        step("reverb", seconds=(0.5, 0.9), damping=0.1, wet=0.5, dry=0.85, early=1.0),
    )),
    Word("robot", "grit", forms("robot, robotic, cyborg, vocoder, android, machine, mechanical, dalek, computer"), (
        step("ring", hz=(28, 75), mix=1.0),
        step("flanger", delay_ms=(2.2, 4.5), rate_hz=(0.02, 0.08), feedback=0.85),
        step("crush", bits=(6.0, 7.5), rate_hz=(9_000, 14_000)),
    )),
    Word("broken", "grit", forms(
        "broken, damaged, destroyed, faulty, malfunction, dying, dying battery, ruined, decay, corrupted"
    ), (
        step("slices", pattern="glitch", beats=(2.0, 4.0)),
        step("drive", curve="hard", gain=(2.5, 4.5)),
        step("crush", bits=(5.0, 6.5), rate_hz=(7_000, 12_000)),
        step("wobble", wow_cents=(20, 40), flutter_cents=(6, 14)),
    )),
)  # fmt: skip
