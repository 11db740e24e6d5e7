package com.example.hrnet.people

import com.example.hrnet.image.Frame

// A detected box that overlaps as much with the box of somebody who is expected is
// theirs.
private const val SAME_BOX = 0.4

// The least mean score of the keypoints of somebody who is still in the crop.
private const val LEAST_MEAN = 0.3
private const val LEAST_SCORE = 0.2

/** Finds the keypoints of the people in boxes of a frame. */
interface PoseFinder {
    /** One person for each box, in their order. */
    fun find(frame: Frame, boxes: List<ScoredBox>): List<Person>
}

/** Finds the boxes of people in a frame. */
interface PersonDetector {
    fun find(frame: Frame): List<ScoredBox>
}

/**
 * Follows people from crop to crop; a detector looks now and then.
 *
 * What `hrnet_tf.Follower` does in Python. The detector looks at one of so many frames
 * for who is new, at once when somebody is lost, and twice as often until everybody is
 * found or forgotten.
 *
 * @param detector Without one, one person is looked for in the whole image, and followed
 *     from there.
 * @param detectEvery The detector sees one of so many frames, and those in which
 *     somebody is lost.
 */
class Follower(
    private val poses: PoseFinder,
    private val detector: PersonDetector?,
    private val tracker: Tracker,
    private val detectEvery: Int = 10
) {
    /** How many frames the detector has seen. */
    var detectorCalls = 0
        private set
    private var since = detectEvery // frames since the detector's last one

    /** The people of the next frame, numbered and smoothed. */
    fun look(frame: Frame): List<Person> {
        val expected = tracker.crops(frame.seconds)
        since += 1
        var found: Found
        if (isDue()) {
            found = lookAt(frame, detect(frame), expected)
        } else {
            found = lookAt(frame, listOf(), expected)
            if (tracker.missesSomebody(found.people, frame.seconds)) {
                val there = found.people.mapIndexed { place, person ->
                    Expected(ScoredBox(person.box, person.boxScore), found.numbers[place])
                }
                found = lookAt(frame, detect(frame), there)
            }
        }
        return tracker.update(found.people, frame.seconds, frame.width, frame.height)
    }

    /** People, and for whom they were looked at; 0 for those whom the detector found. */
    private class Found(val people: List<Person>, val numbers: List<Int>) {
        fun chosen(places: List<Int>) =
            Found(places.map { people[it] }, places.map { numbers[it] })
    }

    private fun isDue(): Boolean {
        if (detector == null) return tracker.followsNobody
        return since >= if (tracker.hasLost) detectEvery / 2.0 else detectEvery.toDouble()
    }

    private fun detect(frame: Frame): List<ScoredBox> {
        since = 0
        if (detector == null) {
            val whole = Box(0.0, 0.0, frame.width.toDouble(), frame.height.toDouble())
            return listOf(ScoredBox(whole, 1.0))
        }
        detectorCalls += 1
        return detector.find(frame)
    }

    /** The people in the boxes, each once. */
    private fun lookAt(frame: Frame, detected: List<ScoredBox>, expected: List<Expected>): Found {
        val overlaps = expected.map { one ->
            DoubleArray(detected.size) { one.box.box.overlap(detected[it].box) }
        }
        // Each box is one person's: who is behind is still looked for.
        val pairs = bestPairs(overlaps.toTypedArray(), SAME_BOX)
        val others = expected.filterIndexed { row, _ -> pairs[row] < 0 }
        val given = detected + others.map { it.box }
        val numbers = detected.map { 0 } + others.map { it.number }
        val people = poses.find(frame, given).mapIndexed { place, person ->
            person.copy(box = around(person, place >= detected.size))
        }
        val crops = Found(people, numbers)
        val followed = crops.chosen((detected.size until people.size).toList())
        val isKnown = tracker.recognized(followed.people, followed.numbers, frame.seconds)
        val stays = people.indices.filter { place ->
            val turn = place - detected.size
            turn < 0 || isKnown[turn] && isIn(frame, given[place].box, people[place])
        }
        val there = crops.chosen(stays)
        return there.chosen(tracker.differentPeople(there.people, frame.seconds))
    }

    private fun isIn(frame: Frame, crop: Box, person: Person) = isThere(
        person.keypoints, crop, frame.width, frame.height, LEAST_SCORE, LEAST_MEAN
    )

    /**
     * A person's box, in a crop around the keypoints.
     *
     * A crop says where somebody was expected, and keypoints who is there. A whole image
     * says nothing.
     */
    private fun around(person: Person, wasExpected: Boolean): Box = when {
        detector == null -> boxAround(person.keypoints, person.box, LEAST_SCORE, 0.0)
        wasExpected -> boxAround(person.keypoints, person.box, LEAST_SCORE)
        else -> person.box
    }
}
