"""Words for what moves: pitch and time.

Facts only, in the form of `word.Word`; they are gathered in `words`.
"""

from __future__ import annotations

from typing import Final

from bridge.audio.dsp.word import Word, forms, step, tone

PITCH: Final = (
    Word("octave down", "pitch", forms(
        "octave down, octave lower, octave below, down an octave, down one octave, sub octave, suboctave, low "
        "octave"
    ), (
        step("pitch", semitones=(-12.0,), exact=True),
        tone((40, 0), (120, 1), (800, 0), (4_000, -2), (12_000, -4)),
        step("sweep", shape="low", low_hz=2_600, high_hz=6_500, beats=(4.0, 16.0)),
    )),
    Word("octave up", "pitch", forms(
        "octave up, octave higher, octave above, up an octave, up one octave, high octave, octaver"
    ), (
        step("pitch", semitones=(12.0,), exact=True),
        step("chorus", voices=2, delay_ms=(5, 12), depth_ms=(0.6, 1.4), rate_hz=(0.2, 0.7), wet=0.3),
    )),
    Word("pitched down", "pitch", forms(
        "pitched down, pitch down, lower pitch, lower pitched, lower, tuned down, detuned down, deep voice, "
        "down tuned, giant, monster, demon"
    ), (
        step("pitch", semitones=(-3.0, -4.0, -5.0, -7.0)),
    )),
    Word("pitched up", "pitch", forms(
        "pitched up, pitch up, higher pitch, higher pitched, higher, tuned up, sped up, nightcore"
    ), (
        step("pitch", semitones=(3.0, 4.0, 5.0)),
    )),
    Word("chipmunk", "pitch", forms("chipmunk, helium, squeaky, cartoon, munchkin"), (
        step("pitch", semitones=(7.0, 8.0, 9.0)),
        tone((120, -14), (400, -3), (1_500, 2), (6_000, 3)),
    )),
    Word("harmony", "pitch", forms(
        "harmony, harmonise, harmonize, harmoniser, harmonizer, fifth, power chord, stacked harmony"
    ), (
        step("pitch", semitones=(7.0, -5.0, 5.0, 12.0), keep=0.9, exact=True),
    )),
    Word("detuned", "pitch", forms("detune, out of tune, honky tonk, supersaw, unison, sour, drunk"), (
        step("chorus", voices=4, delay_ms=(4, 16), depth_ms=(2.4, 4.6), rate_hz=(0.35, 0.9), wet=1.0),
    )),
    Word("chorus", "pitch", forms(
        "chorus, juno, thicken, ensemble effect, jazz chorus, rotary, leslie, shimmering chorus"
    ), (
        step("chorus", voices=3, delay_ms=(7, 18), depth_ms=(1.2, 2.6), rate_hz=(0.25, 0.8), wet=0.85),
    )),
    Word("shimmer", "pitch", forms(
        "shimmer, shimmer reverb, shimmery, crystal, crystalline, glass, glassy, icy, ice, celestial, stars, "
        "starlight"
    ), (
        step("shimmer", seconds=(3.2, 5.0), wet=1.0),
    )),
    Word("vibrato", "pitch", forms(
        "vibrato, seasick, warble, warbly, wobble, wobbly, wavy, wow and flutter, wow, flutter, woozy, "
        "melted, melting, warped"
    ), (
        step("wobble", wow_cents=(22, 42), flutter_cents=(8, 18), wow_hz=(0.7, 1.6)),
    )),
    Word("slowed", "pitch", forms(
        "=slowed, =slowed down, slow motion, slow mo, lazy, sluggish, dragging, codeine, syrup"
    ), (
        step("slices", pattern="slowed", beats=(4.0,)),
    )),
)  # fmt: skip

TIME: Final = (
    Word("half-time", "time", forms("half time, halftime, half speed, halfspeed, half tempo"), (
        step("slices", pattern="half_time", beats=(1.0, 2.0)),
    )),
    Word("double-time", "time", forms(
        "double time, doubletime, double speed, double tempo, =faster, hyper, frantic"
    ), (
        step("slices", pattern="double_time", beats=(1.0, 2.0)),
    )),
    Word("reverse", "time", forms(
        "reverse, backward, backwards, rewind, inverted time, played backwards, backmasked"
    ), (
        step("slices", pattern="reverse", beats=(0.5, 1.0, 1.0)),
    )),
    Word("reverse swell", "time", forms(
        "reverse swell, swell, swelling, reverse reverb, reversed reverb, preverb, rising, riser, suck, "
        "sucked"
    ), (
        step("swell", seconds=(0.8, 1.6), wet=1.3),
    )),
    Word("stutter", "time", forms(
        "stutter, beat repeat, ratchet, retrigger, machine gun, skipping, skip, "
        "skipping cd"
    ), (
        step("slices", pattern="stutter", beats=(2.0, 4.0)),
    )),
    Word("glitch", "time", forms(
        "glitch, glitchy, glitched, idm glitch, data mosh, datamosh, buffer, error, hacked, matrix, cyber"
    ), (
        step("slices", pattern="glitch", beats=(2.0, 4.0)),
        step("crush", bits=(7.5, 9.0), rate_hz=(12_000, 20_000)),
    )),
    Word("chopped", "time", forms("chop, choppy, staccato, cut up, cutup, sliced, slice, =sampled, mpc"), (
        step("slices", pattern="chopped", beats=(2.0, 4.0)),
        step("slices", 11, pattern="shuffled", beats=(4.0,)),
    )),
    Word("rearranged", "time", forms(
        "rearranged, remix, remixed, scrambled, jumbled, random, randomised, randomized, new pattern, "
        "variation, resequenced"
    ), (
        step("slices", pattern="shuffled", beats=(2.0, 4.0)),
    )),
    Word("tape stop", "time", forms(
        "tape stop, tapestop, vinyl stop, turntable stop, spin down, spindown, power down, slow down, brake"
    ), (
        step("slices", pattern="tape_stop", beats=(4.0,)),
    )),
    Word("swing", "time", forms(
        "swing, swung, shuffle, shuffle feel, =groovy, triplet, humanise, humanize"
    ), (
        step("swing", share=(0.6, 0.68)),
    )),
    Word("tremolo", "time", forms(
        "tremolo, trem, pulsing, pulse, pulsating, throbbing, flicker, flickering, vintage amp tremolo"
    ), (
        step("tremolo", beats=(0.25, 0.5, 0.333), depth=0.9),
    )),
    Word("gate", "time", forms(
        "gate, trance gate, rhythmic gate, morse, machine rhythm, sequenced, sequencer, arpeggiated, "
        "arpeggio, arp"
    ), (
        step("gate", steps_a_beat=(4.0, 4.0, 2.0), density=(0.5, 0.72)),
    )),
    Word("pump", "time", forms("pump, sidechain, side chain, sidechained, duck, ducking, =breathing"), (
        step("pump", depth=0.92, recover_beats=(0.45, 0.8)),
    )),
    Word("auto-pan", "time", forms(
        "pan, panning, auto pan, autopan, spinning, rotating, rotate, circling, swirl around, 8d, left to "
        "right"
    ), (
        step("pan", beats=(1.0, 2.0, 4.0), depth=0.95),
    )),
    Word("granular", "time", forms(
        "granular, grain, grains, cloud, clouds, texture, textured, shattered, fragment, fragmented, "
        "particles, scattered, dust cloud"
    ), (
        step("cloud", grain_seconds=(0.07, 0.18), scatter_seconds=(0.1, 0.35), semitones=(-12.0, 5.0, 7.0, 12.0)),
        step("reverb", seconds=(1.2, 2.0), damping=0.5, wet=0.5, dry=0.85, early=0.0),
    )),
    Word("frozen", "time", forms(
        "freeze, frozen, stretched, stretch, paulstretch, smear, smeared, blur, blurred, infinite, endless, "
        "glacial, time stretch"
    ), (
        step("cloud", grain_seconds=(0.5, 0.8), scatter_seconds=(0.25, 0.5), semitones=(0.0, -12.0)),
        step("reverb", seconds=(3.0, 4.5), damping=0.6, wet=1.1, dry=0.4, attack_ms=150.0, early=0.0),
    )),
)  # fmt: skip
