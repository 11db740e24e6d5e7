package com.example.hrnet.models

import com.example.hrnet.image.Crop
import com.example.hrnet.image.Frame
import com.example.hrnet.people.Keypoints
import com.example.hrnet.people.Person
import com.example.hrnet.people.PoseFinder
import com.example.hrnet.people.ScoredBox

private const val OUTPUT = "keypoints"
private const val UDP = "udp"

/** A pose network with what is around it: crops of people, and the way back. */
class PoseModel(description: Description, private val network: Network) : PoseFinder {
    val skeleton: Skeleton
    private val padding: Double
    private val threshold: Double
    private val isUdp: Boolean
    private val batch: Int
    private val height: Int
    private val width: Int
    private val input: ByteArray

    init {
        description.checkTask("pose")
        val image = description.image
        batch = image.shape[0]
        height = image.shape[1]
        width = image.shape[2]
        input = ByteArray(image.size)
        description.output(OUTPUT, "float32", 3)
        skeleton = description.read { Skeleton.of(it.getJSONObject("skeleton")) }
        padding = description.read { it.getDouble("box_padding") }
        threshold = description.read { it.getDouble("keypoint_score_threshold") }
        isUdp = description.read { it.getJSONObject("codec").getString("name") } == UDP
    }

    override fun find(frame: Frame, boxes: List<ScoredBox>): List<Person> =
        boxes.chunked(batch).flatMap { findAtOnce(frame, it) }

    /** Runs the network once; places of a batch that are left free are black. */
    private fun findAtOnce(frame: Frame, boxes: List<ScoredBox>): List<Person> {
        input.fill(0)
        val crops = boxes.mapIndexed { place, one ->
            val crop = Crop.around(one.box, width, height, padding, isUdp)
            crop.cut(frame, input, place * (input.size / batch))
            crop
        }
        network.run(input)
        val found = network.floats(OUTPUT) // [batch, K, 3]
        return boxes.mapIndexed { place, one ->
            val keypoints = keypoints(found, place * skeleton.names.size, crops[place])
            val score = keypoints.meanScore(threshold) * one.score
            Person(one.box, one.score, keypoints, score)
        }
    }

    /** The keypoints of a crop: the network tells shares of its width and height. */
    private fun keypoints(found: FloatArray, first: Int, crop: Crop): Keypoints {
        val count = skeleton.names.size
        return Keypoints(
            DoubleArray(count) { crop.toImageX(found[3 * (first + it)].toDouble() * width) },
            DoubleArray(count) { crop.toImageY(found[3 * (first + it) + 1].toDouble() * height) },
            DoubleArray(count) { found[3 * (first + it) + 2].toDouble() }
        )
    }
}
