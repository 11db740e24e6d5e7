package com.example.hrnet.models

import com.example.hrnet.image.Fit
import com.example.hrnet.image.Frame
import com.example.hrnet.people.Box
import com.example.hrnet.people.PersonDetector
import com.example.hrnet.people.ScoredBox

private const val PERSON = "person"

/**
 * A detector with what is around it: the frame on its canvas, and the way back.
 *
 * @param leastScore Boxes that score less are none.
 */
class DetectorModel(
    description: Description,
    private val network: Network,
    private val leastScore: Double = 0.3
) : PersonDetector {
    private val height: Int
    private val width: Int
    private val input: ByteArray
    private val padding: IntArray
    private val person: Int

    init {
        description.checkTask("detection")
        val image = description.image
        height = image.shape[1]
        width = image.shape[2]
        input = ByteArray(image.size)
        description.output("boxes", "float32", 3)
        description.output("classes", "int32", 2)
        description.output("scores", "float32", 2)
        description.output("num_detections", "int32", 1)
        val color = description.read { it.getJSONObject("input").getJSONArray("padding") }
        padding = description.read { IntArray(color.length()) { color.getInt(it) } }
        person = personOf(description)
    }

    override fun find(frame: Frame): List<ScoredBox> {
        val fit = Fit(frame, width, height, padding)
        fit.draw(input)
        network.run(input)
        val boxes = network.floats("boxes") // [1, N, 4]: x, y, width and height
        val classes = network.ints("classes")
        val scores = network.floats("scores")
        return (0 until network.ints("num_detections")[0])
            .filter { classes[it] == person && scores[it] >= leastScore }
            .map {
                val side = { place: Int -> boxes[4 * it + place].toDouble() }
                val box = fit.toImage(Box(side(0), side(1), side(2), side(3)))
                ScoredBox(box, scores[it].toDouble())
            }
            .filter { it.box.holdsPerson }
    }
}

/** The class number of people: the one called so, or the only one. */
private fun personOf(description: Description): Int = description.read { json ->
    val categories = json.getJSONArray("categories")
    val all = categories.indices.map { categories.getJSONObject(it) }
    val person = all.firstOrNull { it.getString("name") == PERSON } ?: all.singleOrNull()
    person?.getInt("id") ?: throw ModelException("${description.source} finds no people.")
}
