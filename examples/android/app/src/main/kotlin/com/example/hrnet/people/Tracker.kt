package com.example.hrnet.people

import kotlin.math.max
import kotlin.math.sqrt

// The least similarity of one person in two frames.
private const val LEAST_SIMILARITY = 0.15

// What a similarity to somebody lost counts beside one to somebody of the last frame.
private const val LOST = 0.8

// Seconds for which somebody who is lost is looked for where the motion leads.
private const val SEARCHED = 1.0

// OKS, with the pose that is expected, of somebody in the own crop.
private const val RECOGNIZED = 0.3

// Nobody is in two places that are as alike as these.
private const val SAME_PERSON = 0.6

/** Where somebody should be: the box, and the number that the person has. */
class Expected(val box: ScoredBox, val number: Int)

/** A person who is followed, as last seen. */
private class Track(val number: Int, person: Person, var seen: Double, val filter: OneEuroFilter) {
    var keypoints = person.keypoints
    var box = person.box
    var boxScore = person.boxScore
    val motion = Motion()

    /** How far the person will have come; who leaves the image is expected at its border. */
    fun step(seconds: Double, width: Int, height: Int): Step {
        val step = motion.step(seconds - seen)
        val x = (box.middleX + step.x).coerceIn(0.0, width.toDouble())
        val y = (box.middleY + step.y).coerceIn(0.0, height.toDouble())
        return Step(x - box.middleX, y - box.middleY)
    }
}

/**
 * Who is who from frame to frame: numbers for people, and smooth keypoints.
 *
 * What `hrnet_tf.Tracker` does in Python: people are matched with those of earlier
 * frames by OKS, the overlap of boxes and how near they are to where their motion takes
 * them, all at once by the Hungarian method; those of the last frame count more than
 * those who were lost before.
 *
 * @param sigmas Those of the skeleton, one for each keypoint.
 * @param patience Seconds for which a person who is lost keeps the number.
 * @param leastScore People who score less get no new number, and are left out unless
 *     they are known.
 * @param threshold Keypoints that score at most this do not count.
 */
class Tracker(
    private val sigmas: DoubleArray,
    private val smoothing: Smoothing = Smoothing(),
    private val patience: Double = 3.0,
    private val leastScore: Double = 0.3,
    private val threshold: Double = 0.2
) {
    private var tracks = listOf<Track>()
    private var last = Double.NEGATIVE_INFINITY // seconds of the last frame
    private var width = 0
    private var height = 0
    private var given = 0

    /** Whether nobody was in the last frame. */
    val followsNobody: Boolean get() = followed().isEmpty()

    /** Whether somebody who is not forgotten was not in the last frame. */
    val hasLost: Boolean get() = followed().size < tracks.size

    /**
     * Takes the people of the next frame, and returns them numbered and smoothed.
     *
     * @param seconds When it was taken, later than the frame before.
     * @param width The upright image's, in pixels, as [height].
     */
    fun update(people: List<Person>, seconds: Double, width: Int, height: Int): List<Person> {
        tracks = tracks.filter { seconds - it.seen <= patience }
        this.width = width
        this.height = height
        val owners = owners(people, seconds)
        val found = mutableListOf<Person>()
        people.forEachIndexed { place, person ->
            val known = owners[place]
            if (known != null || person.score >= leastScore) {
                val track = known ?: begin(person, seconds)
                if (known != null) goOn(track, person, seconds)
                val size = sqrt(max(track.box.area, 1.0))
                val smooth = track.filter.update(track.keypoints, seconds, size)
                found.add(person.copy(keypoints = smooth, number = track.number))
            }
        }
        last = seconds
        return found
    }

    /** Where people are expected in a frame of that time, those just lost among them. */
    fun crops(seconds: Double): List<Expected> =
        tracks.filter { seconds - it.seen <= SEARCHED || it.seen >= last }
            .map {
                val step = it.step(seconds, width, height)
                val keypoints = it.keypoints.moved(step.x, step.y)
                val box = boxAround(keypoints, it.box.moved(step.x, step.y), threshold)
                Expected(ScoredBox(box, it.boxScore), it.number)
            }
            .filter { it.box.box.holdsPerson }

    /** Whether somebody of the last frame is not among these people of the next. */
    fun missesSomebody(people: List<Person>, seconds: Double): Boolean {
        val found = owners(people, seconds).filterNotNull()
        return followed().any { it !in found }
    }

    /**
     * Whether people in the crops of known ones are these.
     *
     * A crop may show somebody else, who is in front: a pose unlike the one that is
     * expected, and more like another's.
     *
     * @param numbers Whose crops they are.
     */
    fun recognized(people: List<Person>, numbers: List<Int>, seconds: Double): List<Boolean> {
        val likeness = likeness(people, seconds)
        return people.indices.map { place ->
            val own = likeness[tracks.indexOfFirst { it.number == numbers[place] }][place].pose
            own >= RECOGNIZED || likeness.all { own >= it[place].pose }
        }
    }

    /**
     * The places of people, without those who are one person twice.
     *
     * Two crops may show the same person when one hides the other. Who is more like
     * somebody who is expected stays.
     */
    fun differentPeople(people: List<Person>, seconds: Double): List<Int> {
        val likeness = likeness(people, seconds)
        val best = people.indices.map { place ->
            likeness.fold(0.0) { most, row -> max(most, row[place].mean) }
        }
        val kept = mutableListOf<Int>()
        val order = people.indices.sortedWith(
            compareBy({ -best[it] }, { -people[it].score })
        )
        for (place in order) {
            if (kept.all { alike(people[place], people[it]) <= SAME_PERSON }) kept.add(place)
        }
        return kept.sorted()
    }

    private fun alike(one: Person, other: Person) = poseSimilarity(
        one.keypoints, one.box, other.keypoints, other.box, sigmas, threshold
    )

    private fun followed() = tracks.filter { it.seen == last }

    /** Those who are known among people, by their places. */
    private fun owners(people: List<Person>, seconds: Double): List<Track?> {
        val similarities = likeness(people, seconds).mapIndexed { row, likes ->
            val weight = if (tracks[row].seen < last) LOST else 1.0
            DoubleArray(people.size) {
                val mean = likes[it].mean
                if (mean < LEAST_SIMILARITY) 0.0 else mean * weight
            }
        }
        val columns = bestPairs(similarities.toTypedArray(), LEAST_SIMILARITY * LOST)
        return people.indices.map { place -> tracks.getOrNull(columns.indexOf(place)) }
    }

    /** How alike people are with those expected: a row for each who is followed. */
    private fun likeness(people: List<Person>, seconds: Double): List<List<Likeness>> =
        tracks.map { track ->
            val step = track.step(seconds, width, height)
            val keypoints = track.keypoints.moved(step.x, step.y)
            val box = track.box.moved(step.x, step.y)
            people.map {
                val pose =
                    poseSimilarity(keypoints, box, it.keypoints, it.box, sigmas, threshold)
                val near = nearness(box, it.box, seconds - track.seen)
                Likeness(pose, box.overlap(it.box), near)
            }
        }

    private fun begin(person: Person, seconds: Double): Track {
        given += 1
        val filter = OneEuroFilter(person.keypoints.size, smoothing)
        val track = Track(given, person, seconds, filter)
        tracks = tracks + track
        return track
    }

    private fun goOn(track: Track, person: Person, seconds: Double) {
        val step = stepBetween(
            track.keypoints, person.keypoints, track.box, person.box, threshold
        )
        track.motion.update(step, seconds - track.seen)
        track.keypoints = person.keypoints
        track.box = person.box
        track.boxScore = person.boxScore
        track.seen = seconds
    }
}
